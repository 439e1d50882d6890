# SPDX-License-Identifier: Apache-2.0
# Archives by layer, and the two shared libraries made of them. A new .c file in a layer's folder is
# found by itself. Without maps of files and threads, other files take the place of three.
if(CMAKE_SYSTEM_NAME STREQUAL "WASI")
  set(SQZ_OTHER_SYSTEM "/base/(file_map|threads|cpu_count)\\.c$")
else()
  set(SQZ_OTHER_SYSTEM "/base/(file_map_read|threads_none)\\.c$")
endif()

# Without LAPACK, what needs it says so.
if(SQZ_LAPACK)
  set(SQZ_OTHER_ALGEBRA "/squeeze/dense_algebra_none\\.c$")
else()
  set(SQZ_OTHER_ALGEBRA "/squeeze/(dense_algebra|load_library)\\.c$")
endif()

# Files whose code takes no time beside what it calls or waits for: smaller, 15 kB of the library.
set(SQZ_SMALL
  io/checksum io/gguf_.* io/stored_matrix base/cpu base/cpu_count base/file_.* base/temporaries
  base/status
  model/context model/file_check model/load_encoder model/load_texts model/load_tokenizer
  model/model model/load_head model/load_pooling model/load_product model/load_tensors
  model/load_weights model/session model/verify nn/block nn/encoder nn/linear
  nn/pack nn/tensor_list task/answer_spans task/answers task/batches task/classify
  task/embed_text task/engine task/entities task/fill_mask task/entity_spans
  task/zero_shot text/decode
  base/memory base/number kernel/table nn/profile task/slab
  text/added_tokens text/tokenizer text/unicode)
list(JOIN SQZ_SMALL "|" SQZ_SMALL)

# What the runtime's folders hold that running a model does not need; tools/check_laws.py sees that
# nothing of it includes them. Loops that measure a peak go to the archive that evaluates; kernels
# of gradients, and the gradient of x.c in x_grad.c, to the one that trains; those of the optimiser,
# of which one chooses how weights are rounded, to the one that writes files.
set(SQZ_OF_squeezebert_import_static "/kernel/optim/")
set(SQZ_OF_squeezebert_eval_static "/kernel/peak/")
set(SQZ_OF_squeezebert_train_static "/kernel/grad/|_grad\\.c$")

# The name under which a program would load the library that pkg-config found.
function(sqz_soname variable name)
  foreach(file ${ARGN})
    if(file MATCHES "/lib${name}\\.so$")
      execute_process(COMMAND ${CMAKE_READELF} -d ${file} OUTPUT_VARIABLE dynamic)
      if(dynamic MATCHES "SONAME[^[]*\\[([^]]+)\\]")
        set(${variable} ${CMAKE_MATCH_1} PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
  message(FATAL_ERROR "${name}: no shared library with a soname among '${ARGN}': install one, or "
    "configure with -DSQZ_LAPACK=OFF: no low rank and no groups.")
endfunction()

function(sqz_archive name)
  set(files)
  foreach(folder ${ARGN})
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${folder}/*.c)
    list(APPEND files ${found})
  endforeach()
  list(FILTER files EXCLUDE REGEX "${SQZ_OTHER_SYSTEM}|${SQZ_OTHER_ALGEBRA}")
  if(name STREQUAL "squeezebert_static")
    list(FILTER files EXCLUDE REGEX
      "/kernel/(grad|optim|peak)/|_grad\\.c$")
  elseif(SQZ_OF_${name})
    file(GLOB_RECURSE found CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/kernel/*.c
      ${PROJECT_SOURCE_DIR}/src/nn/*_grad.c ${PROJECT_SOURCE_DIR}/src/model/*_grad.c)
    list(FILTER found INCLUDE REGEX ${SQZ_OF_${name}})
    list(APPEND files ${found})
  endif()
  sqz_select_isa(files)
  foreach(file ${files})
    # their vectors are the compiler's
    if(file MATCHES "/src/(kernel/optim/|train/(fit_gradient|lbfgs)\\.c)")
      set_property(SOURCE ${file} APPEND PROPERTY COMPILE_OPTIONS "$<$<CONFIG:Release>:-O3>")
    endif()
    if(file MATCHES "/src/(${SQZ_SMALL})\\.c$")
      # clang's -Os stays well above gcc's
      set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS
        "$<$<CONFIG:Release>:$<IF:$<C_COMPILER_ID:Clang>,-Oz,-Os>>")
    endif()
  endforeach()
  add_library(${name} STATIC ${files} ${PROJECT_SOURCE_DIR}/cmake/empty.c) # a layer may be empty
  # not part of the installed package
  target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:sqz_flags>)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
endfunction()

# What a phone or a browser links: no gradient, no JSON, no HTTP.
sqz_archive(squeezebert_static base kernel text io nn model task)
set_target_properties(squeezebert_static PROPERTIES OUTPUT_NAME squeezebert)
target_link_libraries(squeezebert_static PUBLIC Threads::Threads m)

if(CMAKE_SYSTEM_NAME STREQUAL "WASI" OR SQZ_STATIC)
  set(SQZ_SHARED OFF)
else()
  set(SQZ_SHARED ON)
  add_library(squeezebert SHARED ${PROJECT_SOURCE_DIR}/cmake/empty.c)
  target_link_libraries(squeezebert PRIVATE sqz_flags -Wl,--whole-archive squeezebert_static
    -Wl,--no-whole-archive -Wl,--gc-sections PUBLIC Threads::Threads m)
  set_target_properties(squeezebert PROPERTIES VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR})
endif()

if(SQZ_FULL)
  find_package(PkgConfig REQUIRED)
  set(suffixes ${CMAKE_FIND_LIBRARY_SUFFIXES})
  if(SQZ_STATIC)
    set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
  endif()
  pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
  find_package(ZLIB REQUIRED)
  set(CMAKE_FIND_LIBRARY_SUFFIXES ${suffixes})
  if(SQZ_LAPACK)
    pkg_check_modules(LAPACKE lapacke)
    pkg_check_modules(OPENBLAS openblas)
    if(NOT LAPACKE_FOUND OR NOT OPENBLAS_FOUND)
      message(FATAL_ERROR "pkg-config finds no lapacke or no openblas: install liblapacke-dev and "
        "libopenblas-dev, or configure with -DSQZ_LAPACK=OFF: no low rank and no groups.")
    endif()
    sqz_soname(SQZ_LAPACKE lapacke ${LAPACKE_LINK_LIBRARIES})
    sqz_soname(SQZ_OPENBLAS openblas ${OPENBLAS_LINK_LIBRARIES})
    set_property(SOURCE ${PROJECT_SOURCE_DIR}/src/squeeze/dense_algebra.c APPEND PROPERTY
      COMPILE_DEFINITIONS SQZ_LAPACKE="${SQZ_LAPACKE}" SQZ_OPENBLAS="${SQZ_OPENBLAS}")
  endif()
  sqz_archive(squeezebert_import_static data rewrite import export)
  target_link_libraries(squeezebert_import_static PUBLIC squeezebert_static PkgConfig::JANSSON
    ZLIB::ZLIB)
  sqz_archive(squeezebert_eval_static eval)
  target_link_libraries(squeezebert_eval_static PUBLIC squeezebert_import_static)
  sqz_archive(squeezebert_squeeze_static squeeze)
  target_link_libraries(squeezebert_squeeze_static PUBLIC squeezebert_eval_static
    ${CMAKE_DL_LIBS})
  target_include_directories(squeezebert_squeeze_static SYSTEM PRIVATE ${LAPACKE_INCLUDE_DIRS}
    ${OPENBLAS_INCLUDE_DIRS})
  sqz_archive(squeezebert_train_static train compress build)
  target_link_libraries(squeezebert_train_static PUBLIC squeezebert_squeeze_static)
  set(SQZ_ARCHIVES squeezebert_static)
  foreach(part import eval squeeze train)
    set_target_properties(squeezebert_${part}_static PROPERTIES OUTPUT_NAME squeezebert-${part})
    list(APPEND SQZ_ARCHIVES squeezebert_${part}_static)
  endforeach()

  if(SQZ_SHARED)
    add_library(squeezebert_full SHARED ${PROJECT_SOURCE_DIR}/cmake/empty.c)
    set_target_properties(squeezebert_full PROPERTIES OUTPUT_NAME squeezebert-full
      VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR})
    target_link_libraries(squeezebert_full PRIVATE sqz_flags -Wl,--whole-archive
      ${SQZ_ARCHIVES} -Wl,--no-whole-archive -Wl,--gc-sections
      PUBLIC Threads::Threads m PRIVATE PkgConfig::JANSSON ZLIB::ZLIB ${CMAKE_DL_LIBS})
  endif()
endif()
