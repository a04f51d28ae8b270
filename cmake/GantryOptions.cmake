# Every switch of the build. AUTO means: on where the toolkit is found, off with a line in the summary where it is not.
include(CMakeDependentOption)

set(GANTRY_ENABLE_CUDA AUTO CACHE STRING "Gantry's own CUDA engine: ON, OFF or AUTO (where nvcc is found)")
set_property(CACHE GANTRY_ENABLE_CUDA PROPERTY STRINGS AUTO ON OFF)
option(GANTRY_ENABLE_OPENVINO "OpenVINO back end for CPUs" ON)
option(GANTRY_ENABLE_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(GANTRY_ENABLE_BENCH "Build the micro-benchmarks" OFF)
option(GANTRY_ENABLE_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(GANTRY_WARNINGS_AS_ERRORS "Treat warnings as errors" OFF)
set(GANTRY_SANITIZE "" CACHE STRING "Sanitizers to build with, for example address,undefined or thread")
set(GANTRY_DEPS_DIR "${PROJECT_SOURCE_DIR}/.deps" CACHE PATH "Where tools/setup puts dependencies that Debian does not package")
set(GANTRY_TEST_DATA "$ENV{GANTRY_TEST_DATA}" CACHE PATH "Folder of test data; tests that need it skip visibly without it")
if(NOT GANTRY_TEST_DATA)
  cmake_path(SET GANTRY_TEST_DATA NORMALIZE "${PROJECT_SOURCE_DIR}/../shared/data")
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

find_program(GANTRY_CCACHE ccache)
mark_as_advanced(GANTRY_CCACHE)
if(GANTRY_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${GANTRY_CCACHE}")
  set(CMAKE_CUDA_COMPILER_LAUNCHER "${GANTRY_CCACHE}")
endif()

# One private target carries warnings and sanitizers to everything that is ours.
add_library(gantry_compile_options INTERFACE)
target_compile_options(gantry_compile_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wnon-virtual-dtor;-Wconversion;-Wno-sign-conversion;-Wno-missing-field-initializers>"
  # GCC 12 and 13 see overlapping copies in every "literal" + std::string (GCC bug 105651).
  "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>"
  "$<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${GANTRY_WARNINGS_AS_ERRORS}>>:-Werror>")
if(GANTRY_SANITIZE)
  target_compile_options(gantry_compile_options INTERFACE
    "$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${GANTRY_SANITIZE};-fno-omit-frame-pointer;-fno-sanitize-recover=undefined>")
  target_link_options(gantry_compile_options INTERFACE "-fsanitize=${GANTRY_SANITIZE}")
endif()
