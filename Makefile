# SPDX-License-Identifier: Apache-2.0
# A thin front on CMake.
BUILD ?= build
PREFIX ?= /usr/local

all: configure
	@cmake --build $(BUILD) -j

configure:
	@cmake -S . -B $(BUILD) -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(CMAKE_FLAGS)

.PHONY: all configure
