/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces back to text, as the WordPiece decoder of `tokenizers` with cleanup. */
#include "text/tokenizer.h"

typedef struct output {
    char *text;
    size_t capacity, n;
} output;

static void put(output *to, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++, to->n++)
        if (to->n < to->capacity) to->text[to->n] = bytes[i];
}

/* The space before these is left out. */
static bool glued(sqzi_span piece)
{
    static const char *const marks[] = {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        const size_t n = strlen(marks[i]);
        if (piece.n >= n && memcmp(piece.bytes, marks[i], n) == 0) return true;
    }
    return false;
}

static bool is_special(const sqz_tokenizer *t, uint32_t id)
{
    for (int list = 0; list < 2; list++) {
        const sqzi_added *added = sqzi_added_list_find(&t->added[list], id);
        if (added && added->flags & SQZI_ADDED_SPECIAL) return true;
    }
    return false;
}

void sqz_tokenizer_decode(const sqz_tokenizer *t, const uint32_t *ids, size_t n_ids,
                          int skip_special, char *text, size_t capacity, size_t *needed)
{
    const uint32_t prefix = t->vocabulary.prefix_bytes;
    output to = {text, capacity ? capacity - 1 : 0, 0};
    bool begun = false;
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i] >= t->vocabulary.n || (skip_special && is_special(t, ids[i]))) continue;
        const sqzi_added *added = sqzi_added_list_find(&t->added[1], ids[i]);
        sqzi_span piece = added ? (sqzi_span){added->text, added->n}
                                : sqzi_vocabulary_piece(&t->vocabulary, ids[i]);
        const bool continues = prefix && piece.n >= prefix &&
                               memcmp(piece.bytes, t->vocabulary.prefix, prefix) == 0;
        if (begun && continues) piece = (sqzi_span){piece.bytes + prefix, piece.n - prefix};
        else if (begun && !glued(piece)) put(&to, " ", 1);
        put(&to, piece.bytes, piece.n);
        begun = true;
    }
    if (capacity) text[to.n < to.capacity ? to.n : to.capacity] = '\0';
    if (needed) *needed = to.n + 1;
}
