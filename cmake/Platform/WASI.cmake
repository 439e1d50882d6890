# SPDX-License-Identifier: Apache-2.0
# What CMake should know of the system WASI, which it has no file for.
set(CMAKE_EXECUTABLE_SUFFIX .wasm)
set(CMAKE_STATIC_LIBRARY_PREFIX lib)
set(CMAKE_STATIC_LIBRARY_SUFFIX .a)
