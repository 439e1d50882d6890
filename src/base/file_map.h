/* SPDX-License-Identifier: Apache-2.0 */
/* A file mapped read-only. */
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

#endif
