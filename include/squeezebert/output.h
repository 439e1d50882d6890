/* SPDX-License-Identifier: Apache-2.0 */
/* Files that appear whole or not at all: how the library writes every file, and how a program can
 * write its own beside them.
 *
 * A file is written under another name in the same folder, NAME.RANDOM.tmp, synced, and renamed at
 * the end, so that a reader, a second writer or a killed process never meets a part of it: there is
 * the old file or the new one. Writers of one name do not disturb each other; the last to commit
 * stays. What stood under the name keeps its permissions, and its owner where the process may give
 * files away; a new file has 0666 less the umask. A file that this process may not write is not
 * replaced. Symbolic links are followed: the file they lead to is replaced, in its own folder, and
 * the links stay; one that leads nowhere makes the file it names.
 */
#ifndef SQUEEZEBERT_OUTPUT_H
#define SQUEEZEBERT_OUTPUT_H

#include <stdio.h>

#include <squeezebert/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sqz_output sqz_output;

/* What a name may stand for. Devices, pipes and sockets are never replaced by a file.
 *
 *   SQZ_OUTPUT_FILE  a file alone; what the library writes itself (models, folders) is of this kind
 *   SQZ_OUTPUT_ANY   else bytes go straight to the device or pipe (opening a pipe waits for its
 *                    reader), or to a descriptor that is open already: "-" and /dev/stdout,
 *                    /dev/stderr, /dev/fd/N and /proc/self/fd/N, even where it leads to a file
 */
typedef enum sqz_output_kind { SQZ_OUTPUT_FILE, SQZ_OUTPUT_ANY } sqz_output_kind;

/* Begin an output. `allocator` may be NULL for the C library's.
 * SQZ_EOUTPUT: the folder is not there, may not be written, the name is a folder, or with
 * SQZ_OUTPUT_FILE no file. SQZ_ERESOURCE: no room, too many open files. SQZ_EINVAL: an empty name.
 */
SQZ_API SQZ_NODISCARD sqz_status sqz_output_open(const sqz_allocator *allocator, const char *path,
                                                 sqz_output_kind kind, sqz_output **output,
                                                 sqz_error *error);

/* Whether this is a file, in which the stream can go back (fseek); else bytes are gone as soon as
 * they are written. */
SQZ_API int sqz_output_is_file(const sqz_output *output);

/* Where to write, until commit or close. Not to be closed by the caller. */
SQZ_API FILE *sqz_output_stream(sqz_output *output);

/* Write out what is buffered, sync it and put the file in place. The output still is to be closed.
 * Whatever failed before on the stream is reported here: `SQZ_EOUTPUT`, or `SQZ_ERESOURCE` on a
 * full disk, a quota or a limit of file sizes; the name is then as it was before. */
SQZ_API SQZ_NODISCARD sqz_status sqz_output_commit(sqz_output *output, sqz_error *error);

/* Free; without a commit nothing stays of a file. NULL is allowed. */
SQZ_API void sqz_output_close(sqz_output *output);

/* How many half-written files and folders sqz_remove_temporaries knows at most; a folder and each
 * file in it count. */
enum { SQZ_MAX_TEMPORARIES = 256 };

/* Remove whatever the library is writing at this moment, in all threads: for a handler of signals
 * that end the process. The library installs no handlers: without one, a process ended by a signal
 * leaves NAME.RANDOM.tmp behind. May be called from a signal handler, at any time, in any thread;
 * keeps errno. A child made by fork removes nothing of its parent's. Where the process goes on
 * all the same, what was being written fails with SQZ_EOUTPUT.
 */
SQZ_API void sqz_remove_temporaries(void);

#ifdef __cplusplus
}
#endif

#endif
