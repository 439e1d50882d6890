/* SPDX-License-Identifier: Apache-2.0 */
/* Status codes and error reports: what every function that meets the world returns, and the rules
 * that all headers share.
 *
 * Pointers: one that may be NULL is said to be; an `error` may everywhere, and what a close
 * function gets. Where another one is NULL, a function that returns a status answers SQZ_EINVAL. A
 * handle that was NULL before a failed open is NULL after it.
 *
 * Structs grow, and a program that was built with an older header goes on working:
 *
 *   a caller hands in   (options, sqz_batch, sqz_input, callbacks) ends in `reserved`. Zero it with
 *                       the rest, by {0} or a designated initialiser: zero is the default of every
 *                       field. Later fields take its place, and their zero means what was so
 *                       before. Where one is not 0, a newer header's field was set that this
 *                       library does not know: SQZ_EINVAL, never a setting passed over
 *   a caller owns,      (sqz_error, reports, results of a task) and what stands in arrays ends in
 *   the library fills   `reserved` too, which the library zeroes: a field of a newer header reads 0
 *                       from an older library
 *   the library owns,   (sqz_model_info, sqz_context_info, what callbacks are given) grows at its
 *   handed out one      end: read it where it lies, do not copy it by its size or make arrays of it
 *   at a time
 *   small values        (sqz_text, sqz_piece, sqz_hit, sqz_field, sqz_metric, sqz_named_metric,
 *                       sqz_special_tokens) stay as they are for good
 *
 * Enums get new members at their end.
 *
 * Lifetimes: what is handed in is read during the call alone, what a callback is given is valid
 * during its call, unless the header says otherwise; what is given back belongs to the object that
 * gave it, and the header says until when.
 *
 * Threads: a context, a model and a tokenizer are used by any number of threads at once, an index
 * by any number that search it; sessions, tasks, encodings, readers and outputs by one thread at a
 * time. Nothing else is shared: two objects never need a lock between them.
 *
 * SQZ_EINVAL of a NULL or a reserved field and SQZ_ENOMEM can come from every function that returns
 * a status, but for runs (sqz_encode and the like), which allocate nothing; headers name the rest.
 */
#ifndef SQUEEZEBERT_STATUS_H
#define SQUEEZEBERT_STATUS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SQZ_API __attribute__((visibility("default")))
#define SQZ_NODISCARD __attribute__((warn_unused_result))
#else
#define SQZ_API
#define SQZ_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, number, text). Numbers are part of the ABI: new codes are added at the end. */
#define SQZ_STATUS_LIST(X)                                                     \
    X(SQZ_OK, 0, "done")                                                       \
    X(SQZ_EINVAL, 1, "the caller passed an invalid argument")                  \
    X(SQZ_ENOMEM, 2, "out of memory")                                          \
    X(SQZ_EIO, 3, "reading a file failed")                                     \
    X(SQZ_EFORMAT, 4, "what a file or data hold is not what is demanded")      \
    X(SQZ_EUNSUPPORTED, 5, "valid, but this version cannot do it")             \
    X(SQZ_ELIMIT, 6, "a limit was exceeded")                                   \
    X(SQZ_ETOKEN, 7, "a token id is not in the vocabulary")                    \
    X(SQZ_ENUMERIC, 8, "a number is NaN or infinite")                          \
    X(SQZ_ETOOLONG, 9, "a text has more pieces than allowed")                  \
    X(SQZ_ECANCELLED, 10, "stopped on request")                                \
    X(SQZ_EOUTPUT, 11, "writing a file failed")                                \
    X(SQZ_ERESOURCE, 12, "no room is left: a disk, a quota, open files")

typedef enum sqz_status {
#define SQZ_STATUS_ENUM(name, number, text) name = number,
    SQZ_STATUS_LIST(SQZ_STATUS_ENUM)
#undef SQZ_STATUS_ENUM
} sqz_status;

/* A report of what went wrong, owned by the caller. Functions that take one accept NULL and then
 * only return the status.
 *
 *   code    the status that the function also returned
 *   offset  where: a byte offset in a file, an index in an array; 0 where there is no place
 *   text    what was found, what was expected, what to do; NUL-terminated UTF-8, cut at the end if
 *           too long
 *
 * Written only when the function fails.
 */
typedef struct sqz_error {
    sqz_status code;
    uint64_t offset;
    char text[480];
    uint64_t reserved[2];
} sqz_error;

/* "SQZ_EFORMAT" for SQZ_EFORMAT; "SQZ_?" for a number that is no status. Static storage. */
SQZ_API const char *sqz_status_name(sqz_status status);

/* One sentence that says what the status means. Static storage. */
SQZ_API const char *sqz_status_text(sqz_status status);

/* The status of a call of the system that failed with `reason`, a value of errno.
 *
 *   SQZ_ENOMEM     ENOMEM
 *   SQZ_ERESOURCE  ENOSPC, EDQUOT, EFBIG (a limit of file sizes), EMFILE, ENFILE, EAGAIN
 *   else           SQZ_EOUTPUT where something was to be written, SQZ_EIO where it was to be read
 */
SQZ_API sqz_status sqz_status_of_errno(int reason, int writing);

#ifdef __cplusplus
}
#endif

#endif
