/* SPDX-License-Identifier: Apache-2.0 */
/* vocab.txt as `tokenizers` reads it (WordPiece::read_file): lines end with a newline; what
 * Unicode calls white space, a carriage return among it, is trimmed at the end of each; a line's
 * number from 0 on is the piece's, and a line that comes again counts where it stands last. Blank
 * lines are numbers without a piece. A byte order mark is part of the first piece. */
#include <string.h>

#include "import/tokenizer_draft.h"
#include "text/unicode.h"

uint32_t sqzi_count_lines(const char *text, size_t bytes)
{
    uint32_t n = 0;
    for (size_t at = 0; at < bytes && n < UINT32_MAX; n++) {
        const char *end = memchr(text + at, '\n', bytes - at);
        at = end ? (size_t)(end - text) + 1 : bytes;
    }
    return n;
}

/* Bytes without the white space at the end; false where they are no UTF-8. */
static bool trim(const char *line, size_t n, size_t *kept)
{
    const unsigned char *text = (const unsigned char *)line;
    *kept = 0;
    for (size_t at = 0, length; at < n; at += length) {
        const uint32_t code = sqzi_utf8_next(text + at, n - at, &length);
        if (code == SQZI_REPLACEMENT && (length != 3 || text[at] != 0xEF)) return false;
        if (!(sqzi_unicode_property(code) & SQZI_UNICODE_SPACE)) *kept = at + length;
    }
    return true;
}

sqz_status sqzi_read_lines(sqzi_tokenizer_draft *d, char *text, size_t bytes)
{
    const sqzi_importer *m = d->importer;
    int64_t id = 0;
    for (size_t begin = 0; begin < bytes; id++) {
        char *line = text + begin, *end = memchr(line, '\n', bytes - begin);
        const size_t n = end ? (size_t)(end - line) : bytes - begin;
        size_t kept;
        if (memchr(line, '\0', n))
            return sqzi_fail(m->error, SQZ_EFORMAT, begin, "%s/%s: line %lld holds a NUL byte",
                             m->transformer, d->source, (long long)id + 1);
        if (!trim(line, n, &kept))
            return sqzi_fail(m->error, SQZ_EFORMAT, begin,
                             "%s/%s: line %lld is no UTF-8: save the file in that encoding",
                             m->transformer, d->source, (long long)id + 1);
        line[kept] = '\0';
        const sqz_status status = sqzi_tokenizer_draft_piece(d, (sqzi_span){line, kept}, id);
        if (status != SQZ_OK) return status;
        begin += n + 1;
    }
    return SQZ_OK;
}
