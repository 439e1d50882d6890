# SPDX-License-Identifier: Apache-2.0
# AArch64 Linux from another Debian: its cross compiler, its arm64 packages, its emulator.
# doc/building.md names the packages.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH /usr/aarch64-linux-gnu /usr)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
# Every optional extension; -DSQZ_QEMU_CPU=cortex-a53 has none of them.
set(SQZ_QEMU_CPU max CACHE STRING "the CPU that the tests are emulated on")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -cpu ${SQZ_QEMU_CPU})
