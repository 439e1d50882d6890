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
  # Models that ship are found from where the program lies: in models/ beside it, here a link to the
  # source's, or in the shared folder of where it is installed.
  include(GNUInstallDirs)
  file(RELATIVE_PATH shared_models ${CMAKE_INSTALL_FULL_BINDIR}
    ${CMAKE_INSTALL_FULL_DATADIR}/squeezebert/models)
  target_compile_definitions(squeezebert_program PRIVATE CLI_SHARED_MODELS="${shared_models}")
  if(NOT EXISTS ${PROJECT_BINARY_DIR}/models)
    file(CREATE_LINK ${PROJECT_SOURCE_DIR}/models ${PROJECT_BINARY_DIR}/models SYMBOLIC)
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
