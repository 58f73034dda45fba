# What is installed finds its neighbours wherever the prefix lies, also after `cmake --install --prefix`.
file(RELATIVE_PATH KFAST_BIN_TO_LIB ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH KFAST_PC_TO_INCLUDE ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_FULL_INCLUDEDIR})
if(NOT DEFINED CMAKE_INSTALL_RPATH)
  # libkfast for kfastctl; and a librdkafka that is in no system folder, for kfastd.
  set(CMAKE_INSTALL_RPATH $ORIGIN/${KFAST_BIN_TO_LIB})
  set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
endif()
