# SPDX-License-Identifier: Apache-2.0
# The program: public headers only, the archives linked in.
file(GLOB SQZ_CLI CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/cli/*.c)
if(SQZ_CLI)
  add_executable(squeezebert_program ${SQZ_CLI})
  set_target_properties(squeezebert_program PROPERTIES OUTPUT_NAME squeezebert)
  target_link_libraries(squeezebert_program PRIVATE sqz_flags squeezebert_train_static
    PkgConfig::JANSSON)
  if(SQZ_STATIC)
    target_link_options(squeezebert_program PRIVATE -static)
  endif()
  # The man page is what the program's own tables say; a cross build cannot ask the program and goes
  # without.
  if(NOT CMAKE_CROSSCOMPILING)
    add_custom_command(OUTPUT ${PROJECT_BINARY_DIR}/squeezebert.1
      COMMAND sh -c "'$<TARGET_FILE:squeezebert_program>' help --man > squeezebert.1"
      DEPENDS squeezebert_program WORKING_DIRECTORY ${PROJECT_BINARY_DIR} VERBATIM)
    add_custom_target(squeezebert_man ALL DEPENDS ${PROJECT_BINARY_DIR}/squeezebert.1)
  endif()
endif()
