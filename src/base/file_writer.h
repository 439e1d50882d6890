/* SPDX-License-Identifier: Apache-2.0 */
/* The one way to write a file: squeezebert/output.h says what it promises. */
#ifndef SQZI_FILE_WRITER_H
#define SQZI_FILE_WRITER_H

#include <stdbool.h>

#include <squeezebert/output.h>

enum { SQZI_OUTPUT_PATH = 4096, SQZI_TEMPORARY_SUFFIX = 16 };

/* {0}: nothing is open. Must not be moved while it is. */
typedef struct sqzi_file_writer {
    FILE *stream;
    char path[SQZI_OUTPUT_PATH];  /* as it was named: what messages say */
    char place[SQZI_OUTPUT_PATH]; /* links followed; "": a stream, or a file in a new folder */
    /* what is there until the commit; "": nothing */
    char temporary[SQZI_OUTPUT_PATH + SQZI_TEMPORARY_SUFFIX];
    int slot; /* of sqzi_temporary_add */
} sqzi_file_writer;

SQZ_NODISCARD sqz_status sqzi_file_writer_open(const char *path, sqzi_file_writer *writer,
                                               sqz_error *error);
/* Also a device, a pipe or an open descriptor; then `place` is "". */
SQZ_NODISCARD sqz_status sqzi_file_writer_open_any(const char *path, sqzi_file_writer *writer,
                                                   sqz_error *error);
/* Over a descriptor made by the caller, which the writer closes, also on failure; the caller
 * removes the file. -1: the caller could make none, errno says why. */
SQZ_NODISCARD sqz_status sqzi_file_writer_open_descriptor(int descriptor, const char *path,
                                                          sqzi_file_writer *writer,
                                                          sqz_error *error);
SQZ_NODISCARD sqz_status sqzi_file_writer_put(sqzi_file_writer *writer, const void *data,
                                              size_t bytes, sqz_error *error);
/* What was put so far is in the file `temporary`, which may be opened and read. */
SQZ_NODISCARD sqz_status sqzi_file_writer_flush(sqzi_file_writer *writer, sqz_error *error);
/* Other bytes in the place of some that were put; what is put next still goes to the end. */
SQZ_NODISCARD sqz_status sqzi_file_writer_put_at(sqzi_file_writer *writer, uint64_t offset,
                                                 const void *data, size_t bytes, sqz_error *error);
/* Sync, and put it in place. */
SQZ_NODISCARD sqz_status sqzi_file_writer_commit(sqzi_file_writer *writer, sqz_error *error);
/* also after a commit, where it does nothing */
void sqzi_file_writer_discard(sqzi_file_writer *writer);

/* ---- file_place.c: names ---- */

/* What a name that is to be written stands for. */
typedef enum sqzi_place { SQZI_PLACE_FILE, SQZI_PLACE_FOLDER, SQZI_PLACE_STREAM } sqzi_place;

/* Follow the symbolic links that `path` may be: `place` is where the file is or is to be made.
 * SQZ_EINVAL: empty. SQZ_EOUTPUT: too long, too many links. */
SQZ_NODISCARD sqz_status sqzi_place_find(const char *path, char place[SQZI_OUTPUT_PATH],
                                         sqzi_place *kind, sqz_error *error);
/* The descriptor that "-", /dev/stdout or /dev/fd/3 names; -1: none. */
int sqzi_place_descriptor(const char *path);
/* "PLACE.k3x9qa7m.tmp", another one at every call; the name in its folder is cut where it would be
 * too long for a file system. */
void sqzi_place_temporary(const char *place,
                          char temporary[SQZI_OUTPUT_PATH + SQZI_TEMPORARY_SUFFIX]);
/* A rename is durable once its folder is synced. */
void sqzi_place_sync_folder(const char *place);
/* "PATH: cannot write: REASON", with the folder where that is what is missing. */
sqz_status sqzi_place_fail(const char *path, const char *place, int reason, sqz_error *error);

#endif
