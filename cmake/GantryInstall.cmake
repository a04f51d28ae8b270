# Installs the `gantry` program. The libraries' export follows the public API.
include(GNUInstallDirs)
if(TARGET gantry_program)
  install(TARGETS gantry_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
