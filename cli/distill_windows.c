/* SPDX-License-Identifier: Apache-2.0 */
/* Texts in parts of as many pieces as an example may have. */
#include "distill.h"

/* Room for one more. */
static sqz_text *make_room(sqz_text *parts, size_t n, size_t *room)
{
    if (n < *room) return parts;
    *room = 2 * n + 64;
    return cli_allocate(parts, *room * sizeof *parts);
}

/* Where a window's text is: from its first piece to the end of its last. */
static sqz_text part_of(sqz_text text, const sqz_piece *pieces, uint32_t first, uint32_t end)
{
    while (first < end && pieces[first].special) first++;
    while (end > first && pieces[end - 1].special) end--;
    if (first == end) return (sqz_text){text.bytes, 0};
    const size_t begin = pieces[first].begin_byte, until = pieces[end - 1].end_byte;
    return (sqz_text){text.bytes + begin, until - begin};
}

sqz_text *cli_cut_windows(const sqz_text *texts, size_t n, const sqz_tokenizer *tokenizer,
                          uint32_t length, size_t *n_parts)
{
    sqz_error error = {0};
    sqz_encoding *encoding;
    sqz_text *parts = NULL;
    size_t room = 0, made = 0;
    const sqz_tokenize_options options = {.max_length = length, .windows = 1};
    cli_check(sqz_encoding_open(cli_context(), &encoding, &error), &error);
    for (size_t i = 0; i < n; i++) {
        cli_check(sqz_tokenize(tokenizer, texts[i], NULL, &options, encoding, &error), &error);
        const sqz_piece *pieces = sqz_encoding_pieces(encoding);
        for (uint32_t w = 0; w < sqz_encoding_windows(encoding); w++) {
            parts = make_room(parts, made, &room);
            parts[made++] = part_of(texts[i], pieces, sqz_encoding_first(encoding, w),
                                    sqz_encoding_first(encoding, w + 1));
        }
    }
    sqz_encoding_close(encoding);
    *n_parts = made;
    return parts;
}
