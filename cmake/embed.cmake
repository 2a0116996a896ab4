# embed_folder(name folder patterns): a library embedded_<name> with `std::span<const behalf::EmbeddedFile>
# behalf::embedded_<name>()`, every file of the folder that matches, sorted by name.
function(embed_folder name folder patterns)
  set(globs "")
  foreach(pattern ${patterns})
    list(APPEND globs ${folder}/${pattern})
  endforeach()
  file(GLOB files CONFIGURE_DEPENDS ${globs})
  set(out ${CMAKE_BINARY_DIR}/embedded/${name}.cc)
  add_custom_command(OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} -DOUT=${out} -DNAME=${name} "-DFILES=${files}" -P ${CMAKE_SOURCE_DIR}/cmake/write_embedded.cmake
    DEPENDS ${files} ${CMAKE_SOURCE_DIR}/cmake/write_embedded.cmake
    VERBATIM)
  add_library(embedded_${name} STATIC ${out})
  target_include_directories(embedded_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
endfunction()
