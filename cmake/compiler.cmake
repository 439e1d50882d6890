# SPDX-License-Identifier: Apache-2.0
# Flags of every target, and the flags of the files that use an instruction set.
add_library(sqz_flags INTERFACE)
# no-math-errno lets sqrtf be one instruction; nothing here reads errno after it. Contraction stays
# off: fma is written where it is meant.
target_compile_options(sqz_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
  -Wstrict-prototypes -Wmissing-prototypes -ffp-contract=off -fno-math-errno
  $<$<CONFIG:Release>:-O2>
  # 70 kB of the runtime library and no time: what gains by it is unrolled by hand. 24 kB and no
  # time: what gains by being inlined is declared so
  $<$<C_COMPILER_ID:Clang>:-fno-unroll-loops> $<$<C_COMPILER_ID:Clang>:-finline-hint-functions>
  # nothing is thrown through C; 23 kB of the runtime library
  $<$<CONFIG:Release>:-fno-asynchronous-unwind-tables>)
if(SQZ_WERROR)
  target_compile_options(sqz_flags INTERFACE -Werror)
endif()
if(SQZ_SANITIZE)
  target_compile_options(sqz_flags INTERFACE -fsanitize=${SQZ_SANITIZE} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -g)
  target_link_options(sqz_flags INTERFACE -fsanitize=${SQZ_SANITIZE})
endif()
if(SQZ_FUZZ)
  target_compile_options(sqz_flags INTERFACE -fsanitize=fuzzer-no-link,address,undefined
    -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  target_link_options(sqz_flags INTERFACE -fsanitize=address,undefined)
endif()
target_include_directories(sqz_flags INTERFACE ${PROJECT_SOURCE_DIR}/include)
if(CMAKE_SYSTEM_NAME STREQUAL "WASI")
  add_library(Threads::Threads INTERFACE IMPORTED) # none: src/base/threads_none.c
  target_compile_definitions(sqz_flags INTERFACE _WASI_EMULATED_GETPID)
  target_link_libraries(sqz_flags INTERFACE wasi-emulated-getpid)
else()
  find_package(Threads REQUIRED)
endif()

if(CMAKE_C_BYTE_ORDER STREQUAL "BIG_ENDIAN")
  message(FATAL_ERROR
    "A big-endian processor: weights are read where they lie in the file, little endian.")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64|i.86" AND CMAKE_SIZEOF_VOID_P EQUAL 4)
  message(FATAL_ERROR "x86 with 32-bit pointers is not supported (its floating point keeps more "
    "digits than results are defined by): build for x86-64.")
endif()

# One instruction set a file: the suffix of its name gives its flags. AVX-512 is tuned for a CPU
# that has it: else gcc keeps what does not fit the general registers in vector ones, and moving it
# back takes a port of the multiplications.
set(SQZ_AVX512
  "-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mtune=skylake-avx512")
set(SQZ_ISA_avx2 "-mavx2 -mfma -mf16c")
set(SQZ_ISA_avxvnni "-mavx2 -mfma -mf16c -mavxvnni")
set(SQZ_ISA_avx512 "${SQZ_AVX512}")
set(SQZ_ISA_avx512vnni "${SQZ_AVX512} -mavx512vnni")
set(SQZ_ISA_avx512bf16 "${SQZ_AVX512} -mavx512bf16")
set(SQZ_ISA_amx "${SQZ_AVX512} -mavx512bf16 -mavx512vnni -mamx-tile -mamx-int8 -mamx-bf16")
set(SQZ_ISA_neon "")
set(SQZ_ISA_dotprod "-march=armv8.2-a+dotprod")
set(SQZ_ISA_i8mm "-march=armv8.2-a+i8mm")
set(SQZ_ISA_armbf16 "-march=armv8.2-a+bf16")
set(SQZ_ISA_simd128 "-msimd128")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64|amd64")
  set(SQZ_ISAS avx2 avxvnni avx512 avx512vnni avx512bf16 amx)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
  set(SQZ_ISAS neon dotprod i8mm armbf16)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "wasm32")
  set(SQZ_ISAS simd128)
else()
  set(SQZ_ISAS)
endif()

# Removes from `list` the kernel files of other processors and sets the flags of the rest.
function(sqz_select_isa list)
  set(kept)
  foreach(file ${${list}})
    get_filename_component(name ${file} NAME_WE)
    string(REGEX REPLACE ".*_" "" suffix ${name})
    if(DEFINED SQZ_ISA_${suffix})
      if(suffix IN_LIST SQZ_ISAS)
        separate_arguments(flags UNIX_COMMAND "${SQZ_ISA_${suffix}}")
        set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS "${flags}")
        list(APPEND kept ${file})
      endif()
    else()
      list(APPEND kept ${file})
    endif()
  endforeach()
  set(${list} ${kept} PARENT_SCOPE)
endfunction()
