/* SPDX-License-Identifier: Apache-2.0 */
/* Names and texts of the status codes, the version, and the one function that writes an sqz_error.
 */
#include "base/error.h"

#include <errno.h>
#include <squeezebert/version.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *sqz_status_name(sqz_status status)
{
    switch (status) {
#define NAME(name, number, text) \
    case name: return #name;
        SQZ_STATUS_LIST(NAME)
#undef NAME
    }
    return "SQZ_?";
}

uint32_t sqz_version(void)
{
    return SQZ_VERSION;
}

const char *sqz_version_text(void)
{
#define QUOTED(number) #number
#define JOINED(major, minor, patch) QUOTED(major) "." QUOTED(minor) "." QUOTED(patch)
    return JOINED(SQZ_VERSION_MAJOR, SQZ_VERSION_MINOR, SQZ_VERSION_PATCH);
#undef JOINED
#undef QUOTED
}

const char *sqz_status_text(sqz_status status)
{
    switch (status) {
#define TEXT(name, number, text) \
    case name: return text;
        SQZ_STATUS_LIST(TEXT)
#undef TEXT
    }
    return "no such status";
}

sqz_status sqz_status_of_errno(int reason, int writing)
{
    switch (reason) {
    case ENOMEM: return SQZ_ENOMEM;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EMFILE:
    case ENFILE:
    case EAGAIN: return SQZ_ERESOURCE;
    default: return writing ? SQZ_EOUTPUT : SQZ_EIO;
    }
}

/* Cut an over-long text at the start of a code point and say so by three dots. */
static void mark_cut(sqz_error *error)
{
    size_t end = sizeof error->text - 4;
    while (end > 0 && ((unsigned char)error->text[end] & 0xC0) == 0x80) end--;
    memcpy(error->text + end, "...", 4);
}

sqz_status sqzi_fail(sqz_error *error, sqz_status code, uint64_t offset, const char *format, ...)
{
    if (!error) return code;
    error->code = code;
    error->offset = offset;
    memset(error->reserved, 0, sizeof error->reserved);
    va_list arguments;
    va_start(arguments, format);
    const int needed = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (needed >= (int)sizeof error->text) mark_cut(error);
    return code;
}

sqz_status sqzi_check_reserved(const uint64_t *reserved, size_t n, const char *name,
                               sqz_error *error)
{
    for (size_t i = 0; i < n; i++)
        if (reserved[i])
            return sqzi_fail(error, SQZ_EINVAL, i,
                             "%s.reserved[%zu] is not 0: the struct was not zeroed, or a field is "
                             "set that is newer than this library (%s)",
                             name, i, sqz_version_text());
    return SQZ_OK;
}

void sqzi_error_prefix(sqz_error *error, const char *prefix)
{
    if (!error) return;
    char text[sizeof error->text];
    const int needed = snprintf(text, sizeof text, "%s: %s", prefix, error->text);
    memcpy(error->text, text, sizeof text);
    if (needed >= (int)sizeof text) mark_cut(error);
}
