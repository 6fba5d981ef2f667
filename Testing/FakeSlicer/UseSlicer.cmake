# Slicer's CMake functions as far as a scripted extension calls them. They refuse what would make a broken package:
# files that are listed but missing, present but not listed, or of one name in two modules' Resources.
option(BUILD_TESTING "Build tests" ON)
enable_testing()
find_package(Python3 COMPONENTS Interpreter REQUIRED)
set(_fake_slicer_dir "${CMAKE_CURRENT_LIST_DIR}")

function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MODULE "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MODULE_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "${MODULE_NAME}: unknown arguments ${MODULE_UNPARSED_ARGUMENTS}")
  endif()
  foreach(listed IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${listed}")
      message(FATAL_ERROR "${MODULE_NAME}: ${listed} is listed but does not exist")
    endif()
  endforeach()
  file(GLOB_RECURSE present RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}" CONFIGURE_DEPENDS *)
  foreach(file IN LISTS present)
    if(file MATCHES "(^|/)(__pycache__|\\.[^/]*|CMakeLists\\.txt$|[^/]*\\.egg-info/)|\\.pyc$")
      continue()
    endif()
    if(NOT file IN_LIST MODULE_SCRIPTS AND NOT file IN_LIST MODULE_RESOURCES)
      message(FATAL_ERROR "${MODULE_NAME}: ${file} would not be installed: list it in MODULE_PYTHON_SCRIPTS or "
        "MODULE_PYTHON_RESOURCES")
    endif()
  endforeach()
  if(NOT MODULE_NAME STREQUAL "" AND NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${MODULE_NAME}.py")
    message(FATAL_ERROR "${MODULE_NAME}: there is no ${MODULE_NAME}.py for the application to load")
  endif()
  # All modules of an extension are installed into one folder: what two of them bring must not share a name.
  foreach(listed IN LISTS MODULE_SCRIPTS MODULE_RESOURCES)
    get_property(taken GLOBAL PROPERTY fake_slicer_installed)
    if(listed IN_LIST taken)
      message(FATAL_ERROR "${MODULE_NAME}: another module installs ${listed}, too")
    endif()
    set_property(GLOBAL APPEND PROPERTY fake_slicer_installed "${listed}")
  endforeach()
  if(MODULE_WITH_GENERIC_TESTS AND BUILD_TESTING)
    add_test(
      NAME py_nomainwindow_qSlicer${MODULE_NAME}ModuleGenericTest
      COMMAND ${Python3_EXECUTABLE} ${_fake_slicer_dir}/run_module.py open ${CMAKE_CURRENT_SOURCE_DIR}/${MODULE_NAME}.py)
    set_tests_properties(py_nomainwindow_qSlicer${MODULE_NAME}ModuleGenericTest PROPERTIES SKIP_RETURN_CODE 77)
  endif()
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(TEST "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  get_filename_component(name ${TEST_SCRIPT} NAME_WE)
  add_test(
    NAME py_${TEST_TESTNAME_PREFIX}${name}
    COMMAND ${Python3_EXECUTABLE} ${_fake_slicer_dir}/run_module.py test ${CMAKE_CURRENT_SOURCE_DIR}/${TEST_SCRIPT})
  set_tests_properties(py_${TEST_TESTNAME_PREFIX}${name} PROPERTIES SKIP_RETURN_CODE 77)
endfunction()
