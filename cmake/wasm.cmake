# SPDX-License-Identifier: Apache-2.0
# The runtime as one WebAssembly module without a main: it exports what the public headers mark
# SQZ_API. wasm-opt, where it is there, makes it smaller.
add_executable(squeezebert_module ${PROJECT_SOURCE_DIR}/cmake/empty.c)
set_target_properties(squeezebert_module PROPERTIES OUTPUT_NAME squeezebert)
target_link_libraries(squeezebert_module PRIVATE
  sqz_flags -Wl,--whole-archive squeezebert_static -Wl,--no-whole-archive)
target_link_options(squeezebert_module PRIVATE -mexec-model=reactor -Wl,-z,stack-size=1048576
  -Wl,--stack-first -Wl,--export-dynamic -Wl,--export=malloc -Wl,--export=free -Wl,--strip-debug)
find_program(SQZ_WASM_OPT wasm-opt)
if(SQZ_WASM_OPT)
  add_custom_command(TARGET squeezebert_module POST_BUILD
    COMMAND ${SQZ_WASM_OPT} -O3 --enable-simd --strip-debug --strip-producers
      $<TARGET_FILE:squeezebert_module> -o $<TARGET_FILE:squeezebert_module>
    VERBATIM)
endif()
