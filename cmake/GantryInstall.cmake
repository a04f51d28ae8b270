# `cmake --install`: the `gantry` program with its bundled detector, and the rooms as a library that another project
# takes with find_package(gantry) and links as gantry::gantry (docs/operations.md).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(TARGET gantry_program)
  set_target_properties(gantry_program PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}/gantry")
  install(TARGETS gantry_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/models/" DESTINATION ${CMAKE_INSTALL_DATADIR}/gantry/models)

# OpenVINO from the folder of dependencies goes along, because nothing else would put it where the program looks: the
# runtime, the CPU, and the readers of ONNX and IR.
if(gantry_have_openvino AND IS_DIRECTORY "${GANTRY_DEPS_DIR}/openvino/libs")
  file(GLOB openvino_libraries "${GANTRY_DEPS_DIR}/openvino/libs/lib*.so*")
  list(FILTER openvino_libraries INCLUDE REGEX "/lib(openvino|openvino_intel_cpu_plugin|openvino_ir_frontend|openvino_onnx_frontend|tbb.*|hwloc)\\.so")
  install(PROGRAMS ${openvino_libraries} DESTINATION ${CMAKE_INSTALL_LIBDIR}/gantry)
endif()

add_library(gantry INTERFACE)
add_library(gantry::gantry ALIAS gantry)
get_property(rooms GLOBAL PROPERTY GANTRY_ROOMS)
target_link_libraries(gantry INTERFACE ${rooms})
install(TARGETS gantry ${rooms} EXPORT gantryTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/gantry")
install(EXPORT gantryTargets NAMESPACE gantry:: DESTINATION "${package}")
configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/gantryConfig.cmake.in" "${PROJECT_BINARY_DIR}/gantryConfig.cmake"
  INSTALL_DESTINATION "${package}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/gantryConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/gantryConfig.cmake" "${PROJECT_BINARY_DIR}/gantryConfigVersion.cmake"
  "${CMAKE_CURRENT_LIST_DIR}/GantryDependencies.cmake" DESTINATION "${package}")
