/* SPDX-License-Identifier: Apache-2.0 */
/* What lies in a folder, and what files are that look like a model's and are not: the words of an
 * error that says what to do. */
#ifndef SQZI_FOLDER_CONTENTS_H
#define SQZI_FOLDER_CONTENTS_H

#include <stdbool.h>
#include <stddef.h>

#include <squeezebert/status.h>

enum { SQZI_FILE_NAME = 256 };

bool sqzi_starts_with(const char *text, const char *beginning);
bool sqzi_ends_with(const char *text, const char *ending);
bool sqzi_is_folder(const char *path);
bool sqzi_is_file(const char *path);

/* How many entries of the folder begin and end so, hidden ones apart; the first of them by name in
 * `first` (NULL: not wanted). 0 where the folder cannot be read. */
size_t sqzi_folder_count(const char *folder, const char *beginning, const char *ending,
                         char first[SQZI_FILE_NAME]);

/* The file with these first bytes is no weights of this library's kinds: "a web page ...", to stand
 * behind "FILE is "; NULL where it may be. */
const char *sqzi_foreign_weights(const unsigned char *data, size_t bytes);

/* A file that is known by its name alone and cannot be imported, "an ONNX model ..."; NULL for any
 * other. */
const char *sqzi_foreign_file(const char *name);

/* SQZ_EIO: the folder holds no weights that can be read; what it holds instead. */
sqz_status sqzi_fail_no_weights(const char *folder, sqz_error *error);

#endif
