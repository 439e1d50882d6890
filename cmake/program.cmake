# SPDX-License-Identifier: Apache-2.0
# The program: public headers only, the archives linked in.
file(GLOB SQZ_CLI CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cli/*.c)
if(SQZ_CLI)
  add_executable(squeezebert_program ${SQZ_CLI})
  set_target_properties(squeezebert_program PROPERTIES OUTPUT_NAME squeezebert)
  target_compile_definitions(squeezebert_program PRIVATE SQZ_PROGRAM_VERSION="${PROJECT_VERSION}")
  target_link_libraries(squeezebert_program PRIVATE sqz_flags squeezebert_train_static squeezebert_import_static squeezebert_static PkgConfig::JANSSON)
endif()
