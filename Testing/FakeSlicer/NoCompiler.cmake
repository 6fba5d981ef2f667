# A toolchain without tools. The extension's project() asks for C and C++, as the real Slicer's own packages need them to
# be found; of a scripted extension nothing is compiled, so that a machine without compiler can test it, too.
set(CMAKE_SYSTEM_NAME ${CMAKE_HOST_SYSTEM_NAME})
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER "${CMAKE_COMMAND}")
  set(CMAKE_${language}_COMPILER_ID_RUN TRUE)
  set(CMAKE_${language}_COMPILER_FORCED TRUE)
endforeach()
