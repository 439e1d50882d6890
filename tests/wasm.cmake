# SPDX-License-Identifier: Apache-2.0
# The tests that run as WebAssembly: the kernels, and the golden models, which a program built for
# this machine has imported.
add_library(sqz_test_support STATIC support/guarded_plain.c support/exact_head.c)
target_include_directories(sqz_test_support PUBLIC
  ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(sqz_test_support PUBLIC sqz_flags squeezebert_static)

set(SQZ_HOST_PROGRAM "" CACHE FILEPATH
  "the program built for this machine: imports the golden models; without it that test is left out")
set(tests kernel/test_gemm_f32 kernel/test_gemm_bf16 kernel/test_gemm_s8 kernel/test_row_kernels
  kernel/test_gather)
if(SQZ_HOST_PROGRAM)
  list(APPEND tests golden/test_golden)
endif()
foreach(test ${tests})
  get_filename_component(name ${test} NAME)
  add_executable(${name} ${test}.c)
  target_link_libraries(${name} PRIVATE sqz_test_support)
  target_link_options(${name} PRIVATE -Wl,-z,stack-size=1048576 -Wl,--stack-first)
  add_test(NAME ${test} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${test} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
endforeach()

if(SQZ_HOST_PROGRAM)
  # the tests see the source folder and what lies in it
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/golden)
  target_compile_definitions(test_golden PRIVATE SQZ_GOLDEN_FILES="${folder}")
  add_test(NAME golden/import COMMAND sh -c "mkdir -p ${folder} && \
for model in tests/golden/models/*/; do \
name=${folder}/$(basename $model); \
'${SQZ_HOST_PROGRAM}' import $model -o $name.gguf || exit 1; \
for type in s8 bf16; do \
'${SQZ_HOST_PROGRAM}' quantize $name.gguf --type $type -o $name.$type.gguf || exit 1; \
done; done"
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(golden/import PROPERTIES FIXTURES_SETUP golden_files)
  set_tests_properties(golden/test_golden PROPERTIES FIXTURES_REQUIRED golden_files)
endif()
