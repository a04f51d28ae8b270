# Installs the `gantry` program and its bundled detector.
include(GNUInstallDirs)
if(TARGET gantry_program)
  install(TARGETS gantry_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/models/" DESTINATION ${CMAKE_INSTALL_DATADIR}/gantry/models)
