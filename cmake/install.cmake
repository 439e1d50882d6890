# SPDX-License-Identifier: Apache-2.0
# `make install`: program, libraries, headers, pkg-config files, CMake package, models with their
# cards.
# find_package(squeezebert) gives squeezebert::squeezebert (shared), squeezebert::squeezebert_static
# and, where it was built, squeezebert::squeezebert_full.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(SQZ_HEADERS context model output session squeezebert status task tokenizer version)
if(SQZ_FULL)
  file(GLOB SQZ_ALL_HEADERS RELATIVE ${PROJECT_SOURCE_DIR}/include/squeezebert
    CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/squeezebert/*.h)
  string(REPLACE ".h" "" SQZ_HEADERS "${SQZ_ALL_HEADERS}")
endif()
foreach(name ${SQZ_HEADERS})
  install(FILES ${PROJECT_SOURCE_DIR}/include/squeezebert/${name}.h
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/squeezebert)
endforeach()

set(SQZ_INSTALLED squeezebert_static)
if(SQZ_SHARED)
  list(APPEND SQZ_INSTALLED squeezebert)
endif()
if(SQZ_SHARED AND SQZ_FULL)
  list(APPEND SQZ_INSTALLED squeezebert_full)
endif()
foreach(target ${SQZ_INSTALLED})
  target_include_directories(${target} INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
# What only builds the libraries must not follow them into the package: the flags and the archives
# are linked as $<BUILD_INTERFACE>.
install(TARGETS ${SQZ_INSTALLED} EXPORT squeezebertTargets)
install(EXPORT squeezebertTargets NAMESPACE squeezebert::
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/squeezebert)
if(TARGET squeezebert_program)
  install(TARGETS squeezebert_program)
  if(TARGET squeezebert_man)
    install(FILES ${PROJECT_BINARY_DIR}/squeezebert.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  endif()
  file(GLOB SQZ_MODELS CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/models/*.gguf)
  foreach(model ${SQZ_MODELS})
    string(REGEX REPLACE "\\.gguf$" ".md" card ${model})
    install(FILES ${model} ${card} DESTINATION ${CMAKE_INSTALL_DATADIR}/squeezebert/models)
  endforeach()
endif()

file(WRITE ${PROJECT_BINARY_DIR}/squeezebertConfig.cmake
  "include(CMakeFindDependencyMacro)\nfind_dependency(Threads)\n"
  "include(\${CMAKE_CURRENT_LIST_DIR}/squeezebertTargets.cmake)\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/squeezebertConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/squeezebertConfig.cmake
  ${PROJECT_BINARY_DIR}/squeezebertConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/squeezebert)

# The prefix is taken from where the file lies, so that an installed tree can be moved and `cmake
# --install --prefix` is right.
function(sqz_pkg_config name text private)
  # multiarch folders are one level deeper
  file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
  file(WRITE ${PROJECT_BINARY_DIR}/${name}.pc "prefix=\${pcfiledir}/${up}
libdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}
includedir=\${prefix}/include

Name: ${name}
Description: ${text}
Version: ${PROJECT_VERSION}
Libs: -L\${libdir} -l${name}
Libs.private: ${private}
Cflags: -I\${includedir}
")
  install(FILES ${PROJECT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
sqz_pkg_config(squeezebert "encoders of BERT's kind on CPUs: the runtime" "-pthread -lm")
if(SQZ_FULL)
  sqz_pkg_config(squeezebert-full
    "encoders of BERT's kind on CPUs: runtime, import, evaluation and squeezing"
    "-pthread -lm -ljansson -lz")
endif()
