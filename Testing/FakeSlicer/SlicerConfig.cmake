# Stand-in for an installed Slicer: `cmake -D Slicer_DIR=Testing/FakeSlicer` configures the extension's own CMakeLists
# and ctest runs its modules' self-tests on the bench (Testing/SlicerHeadless), without the application.
set(Slicer_FOUND TRUE)
set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/CheckExtension.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/Nothing.cmake")
