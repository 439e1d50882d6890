# SPDX-License-Identifier: Apache-2.0
# `make install`: program, libraries, headers, pkg-config file, CMake package.
