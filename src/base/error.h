/* SPDX-License-Identifier: Apache-2.0 */
/* Filling in an sqz_error, and the two macros by which a function leaves on one. */
#ifndef SQZI_ERROR_H
#define SQZI_ERROR_H

#include <squeezebert/status.h>

#if defined(__GNUC__)
#define SQZI_PRINTF(text, rest) __attribute__((format(printf, text, rest)))
#else
#define SQZI_PRINTF(text, rest)
#endif

/* Fill `error` (may be NULL) and return `code`. A text that is too long is cut at a code point and
 * ends in "...". */
sqz_status sqzi_fail(sqz_error *error, sqz_status code, uint64_t offset, const char *format, ...)
    SQZI_PRINTF(4, 5);

/* Put "PREFIX: " before the text that a callee left, so that an outer layer can name the file or
 * the record. */
void sqzi_error_prefix(sqz_error *error, const char *prefix);

/* SQZ_EINVAL where one of a struct's n reserved numbers is not 0: a field that this version does
 * not know (status.h "Structs grow"). The macro takes a pointer to the struct, which may be NULL.
 */
SQZ_NODISCARD sqz_status sqzi_check_reserved(const uint64_t *reserved, size_t n, const char *name,
                                             sqz_error *error);
#define SQZI_RESERVED(pointer, name, error)                                                        \
    ((pointer) ? sqzi_check_reserved((pointer)->reserved,                                          \
                                     sizeof(pointer)->reserved / sizeof(pointer)->reserved[0],     \
                                     (name), (error))                                              \
               : SQZ_OK)

/* Both need `sqz_status status`, `sqz_error *error` and a label `fail` in the function. */
#define TRY(call)                          \
    do {                                   \
        status = (call);                   \
        if (status != SQZ_OK) goto fail;   \
    } while (0)

#define FAIL_IF(condition, code, offset, ...)                              \
    do {                                                                   \
        if (condition) {                                                   \
            status = sqzi_fail(error, (code), (offset), __VA_ARGS__);      \
            goto fail;                                                     \
        }                                                                  \
    } while (0)

#endif
