# GoogleTest for another target than the build machine: Debian packages its sources, which are built here.
set(KFAST_GOOGLETEST_SOURCE /usr/src/googletest CACHE PATH "GoogleTest's sources, for cross builds")
if(NOT EXISTS ${KFAST_GOOGLETEST_SOURCE}/CMakeLists.txt)
  message(FATAL_ERROR "kfast's cross build needs GoogleTest's sources. On Debian: apt-get install googletest "
                      "(or run tools/setup, which does it).")
endif()
set(BUILD_GMOCK OFF CACHE BOOL "" FORCE)
set(INSTALL_GTEST OFF CACHE BOOL "" FORCE)
add_subdirectory(${KFAST_GOOGLETEST_SOURCE} ${CMAKE_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
foreach(library gtest gtest_main)
  if(NOT TARGET GTest::${library})
    add_library(GTest::${library} ALIAS ${library})
  endif()
endforeach()
