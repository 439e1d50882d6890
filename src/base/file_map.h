/* SPDX-License-Identifier: Apache-2.0 */
/* A file mapped read-only, and a file written so that a killed process leaves the old one or the
 * new one. */
#ifndef SQZI_FILE_MAP_H
#define SQZI_FILE_MAP_H

#include <stdio.h>

#include <squeezebert/status.h>

typedef struct sqzi_file_map {
    const unsigned char *data; /* NULL for an empty file */
    size_t bytes;
} sqzi_file_map;

/* SQZ_EIO: cannot open, not a regular file, cannot map; the text names the path and the system's
 * reason. */
SQZ_NODISCARD sqz_status sqzi_file_map_open(const char *path, sqzi_file_map *map, sqz_error *error);
void sqzi_file_map_close(sqzi_file_map *map);

/* Tell the system that these bytes of the mapping are not needed any more; they are read again from
 * the file if they are. */
void sqzi_file_map_drop(const sqzi_file_map *map, size_t offset, size_t bytes);

/* Write to a temporary name beside `path`; commit syncs it and renames it over `path`; discard
 * removes it. */
typedef struct sqzi_file_writer {
    FILE *stream;
    char path[4096];
    char temporary[4096 + 32];
} sqzi_file_writer;

SQZ_NODISCARD sqz_status sqzi_file_writer_open(const char *path, sqzi_file_writer *writer,
                                               sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_file_writer_put(sqzi_file_writer *writer, const void *data,
                                              size_t bytes, sqz_error *error);
/* What was put so far is in the file `temporary`, which may be opened and read. */
SQZ_NODISCARD sqz_status sqzi_file_writer_flush(sqzi_file_writer *writer, sqz_error *error);
/* Other bytes in the place of some that were put; what is put next still goes to the end. */
SQZ_NODISCARD sqz_status sqzi_file_writer_put_at(sqzi_file_writer *writer, uint64_t offset,
                                                 const void *data, size_t bytes, sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_file_writer_commit(sqzi_file_writer *writer, sqz_error *error);
/* also after a commit, where it does nothing */
void sqzi_file_writer_discard(sqzi_file_writer *writer);

#endif
