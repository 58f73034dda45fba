# One set of compiler rules for every target: C++20, strict warnings, optional sanitizers.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()

find_program(KFAST_CCACHE ccache)
if(KFAST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_C_COMPILER_LAUNCHER ${KFAST_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${KFAST_CCACHE})
endif()

# Every target of ours links this: warnings for our code only, never for a library's headers.
add_library(kfast_warnings INTERFACE)
target_compile_options(kfast_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
if(KFAST_WERROR)
  target_compile_options(kfast_warnings INTERFACE -Werror)
endif()

if(KFAST_SANITIZE)
  add_compile_options(-fsanitize=${KFAST_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${KFAST_SANITIZE})
  # Instrumented, libstdc++'s own <regex> trips this one in GCC; the other builds keep it.
  target_compile_options(kfast_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-error=maybe-uninitialized>)
endif()
