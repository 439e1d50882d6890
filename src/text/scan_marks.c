/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of combining marks, which canonical decomposition puts in order. Apart from scan.c because
 * only the few marks that strip_accents keeps need it: where all are taken, their order is of no
 * interest. */
#include "text/scan.h"

#include "base/error.h"
#include "text/spell.h"
#include "text/unicode.h"

typedef struct mark {
    uint32_t code;
    uint8_t class;
    bool leads; /* the first part of its code point */
    sqzi_origin origin;
} mark;

sqz_status sqzi_scan_hold(sqzi_scan *s, const uint32_t *parts, size_t n, bool leads,
                          sqzi_origin origin)
{
    sqz_status status = SQZ_OK;
    for (size_t i = 0; i < n && status == SQZ_OK; i++) {
        const mark m = {parts[i], sqzi_unicode_combining(parts[i]), leads && i == 0, origin};
        status = sqzi_buffer_append(&s->encoding->run, &m, sizeof m, s->error);
    }
    return status;
}

/* The marks of the run in canonical order. The package pairs them with the text in that order: the
 * k-th that leads is said to come from where the k-th that leads was read, the other parts from
 * where the mark before them is, at first `base`. */
static sqz_status emit_ordered(sqzi_scan *s, sqzi_origin base)
{
    const mark *marks = (const mark *)(void *)s->encoding->run.data;
    const size_t n = s->encoding->run.used / sizeof *marks;
    size_t done = 0, read = 0;
    for (uint32_t class = 1; class < 256 && done < n; class++)
        for (size_t i = 0; i < n; i++) {
            if (marks[i].class != class) continue;
            done++;
            if (marks[i].leads) {
                while (!marks[read].leads) read++;
                base = marks[read++].origin;
            }
            /* stripped */
            if ((sqzi_unicode_property(marks[i].code) & SQZI_UNICODE_REORDERS) !=
                SQZI_UNICODE_REORDERS)
                continue;
            const sqz_status status = sqzi_scan_emit(s, marks[i].code, base);
            if (status != SQZ_OK) return status;
        }
    return SQZ_OK;
}

sqz_status sqzi_scan_marks(sqzi_scan *s, size_t at, size_t end, sqzi_origin base, size_t *next)
{
    uint32_t parts[SQZI_MAX_DECOMPOSITION];
    for (size_t length; at < end; at += length, s->code++) {
        const uint32_t code = sqzi_utf8_next(s->text + at, end - at, &length);
        if (s->tokenizer->clean_text && sqzi_unicode_property(code) & SQZI_UNICODE_DROP) continue;
        const size_t n = sqzi_unicode_decompose(code, parts);
        if (sqzi_unicode_combining(parts[0]) == 0) break;
        const sqz_status status = sqzi_scan_hold(
            s, parts, n, true, (sqzi_origin){(uint32_t)at, (uint32_t)(at + length), s->code});
        if (status != SQZ_OK) return status;
    }
    *next = at;
    return emit_ordered(s, base);
}

sqz_status sqzi_scan_run(sqzi_scan *s, size_t at, size_t end, size_t *next)
{
    s->encoding->run.used = 0;
    for (size_t i = s->run, length; i < at; i += length) {
        (void)sqzi_utf8_next(s->text + i, at - i, &length);
        s->code--;
    }
    return sqzi_scan_marks(s, s->run, end, (sqzi_origin){0}, next);
}
