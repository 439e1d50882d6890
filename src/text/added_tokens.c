/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens: found leftmost and longest, before any word is made, as AddedVocabulary of
 * `tokenizers` does. */
#include <stdlib.h>

#include "base/error.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

sqz_status sqzi_added_list_open(const sqz_allocator *allocator, const sqzi_added_token *tokens,
                                uint32_t n, bool normalised, sqzi_added_list *list,
                                sqz_error *error)
{
    *list = (sqzi_added_list){0};
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += tokens[i].text.n > 0 &&
                 normalised == ((tokens[i].flags & SQZI_ADDED_NORMALIZED) != 0);
    list->tokens = sqzi_allocate_zeroed(allocator, count, sizeof *list->tokens);
    if (!list->tokens)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u added tokens", count);
    list->n = count;
    uint32_t j = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (tokens[i].text.n == 0 || normalised != ((tokens[i].flags & SQZI_ADDED_NORMALIZED) != 0))
            continue;
        sqzi_added *added = &list->tokens[j++];
        *added = (sqzi_added){.id = tokens[i].id, .flags = tokens[i].flags, .n = tokens[i].text.n};
        added->text = sqzi_allocate(allocator, added->n + 1);
        if (!added->text) return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for an added token");
        memcpy(added->text, tokens[i].text.bytes, added->n);
        added->text[added->n] = '\0';
    }
    sqzi_added_list_sort(list);
    return SQZ_OK;
}

void sqzi_added_list_close(const sqz_allocator *allocator, sqzi_added_list *list)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (list->tokens[i].text)
            sqzi_release(allocator, list->tokens[i].text, list->tokens[i].n + 1);
    if (list->by_id) sqzi_release(allocator, list->by_id, list->n * sizeof *list->by_id);
    sqzi_release(allocator, list->tokens, list->n * sizeof *list->tokens);
    *list = (sqzi_added_list){0};
}

/* By first byte, then longest first; equal texts keep the order they came in. */
static bool before(const sqzi_added *a, const sqzi_added *b)
{
    const unsigned char x = a->n ? (unsigned char)a->text[0] : 0,
                        y = b->n ? (unsigned char)b->text[0] : 0;
    return x != y ? x < y : a->n > b->n;
}

void sqzi_added_list_sort(sqzi_added_list *list)
{
    /* Shell's sort: no memory, and few tokens */
    for (uint32_t gap = list->n / 2; gap > 0; gap = gap > 2 ? gap * 5 / 11 : gap / 2)
        for (uint32_t i = gap; i < list->n; i++) {
            const sqzi_added token = list->tokens[i];
            uint32_t j = i;
            for (; j >= gap && before(&token, &list->tokens[j - gap]); j -= gap)
                list->tokens[j] = list->tokens[j - gap];
            list->tokens[j] = token;
        }
    uint32_t at = 0, distinct = 0;
    list->only = -1;
    for (uint32_t b = 0; b < 256; b++) {
        list->first[b] = at;
        while (at < list->n &&
               (list->tokens[at].n ? (unsigned char)list->tokens[at].text[0] : 0) == b)
            at++;
        if (at > list->first[b]) {
            distinct++;
            list->only = (int)b;
        }
    }
    list->first[256] = at;
    if (distinct != 1) list->only = -1;
}

sqz_status sqzi_added_list_index(const sqz_allocator *allocator, sqzi_added_list *list,
                                 sqz_error *error)
{
    list->by_id = sqzi_allocate(allocator, list->n * sizeof *list->by_id);
    if (!list->by_id)
        return sqzi_fail(error, SQZ_ENOMEM, 0, "no memory for %u added tokens", list->n);
    for (uint32_t i = 0; i < list->n; i++) list->by_id[i] = i;
    for (uint32_t gap = list->n / 2; gap > 0; gap = gap > 2 ? gap * 5 / 11 : gap / 2)
        for (uint32_t i = gap; i < list->n; i++) {
            const uint32_t place = list->by_id[i], id = list->tokens[place].id;
            uint32_t j = i;
            for (; j >= gap && list->tokens[list->by_id[j - gap]].id > id; j -= gap)
                list->by_id[j] = list->by_id[j - gap];
            list->by_id[j] = place;
        }
    return SQZ_OK;
}

const sqzi_added *sqzi_added_list_find(const sqzi_added_list *list, uint32_t id)
{
    uint32_t low = 0, high = list->n;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (list->tokens[list->by_id[middle]].id < id) low = middle + 1;
        else high = middle;
    }
    return low < list->n && list->tokens[list->by_id[low]].id == id
               ? &list->tokens[list->by_id[low]]
               : NULL;
}

/* The code point that ends before text[at], at > 0. */
static uint32_t previous(const unsigned char *text, size_t at, size_t *begin)
{
    const size_t least = at > 4 ? at - 4 : 0;
    for (size_t from = at - 1;; from--) {
        size_t length;
        const uint32_t code = sqzi_utf8_next(text + from, at - from, &length);
        if (from + length == at && (code != SQZI_REPLACEMENT || length > 1)) {
            *begin = from;
            return code;
        }
        if (from == least) break;
    }
    *begin = at - 1;
    return SQZI_REPLACEMENT;
}

static bool stands_alone(const sqzi_segmenter *s, size_t begin, size_t end)
{
    size_t unused;
    if (begin > 0 && sqzi_unicode_property(previous(s->text, begin, &unused)) & SQZI_UNICODE_WORD)
        return false;
    return end == s->n ||
           !(sqzi_unicode_property(sqzi_utf8_next(s->text + end, s->n - end, &unused)) &
             SQZI_UNICODE_WORD);
}

static size_t skip_space_left(const sqzi_segmenter *s, size_t begin, size_t least)
{
    size_t before_it;
    while (begin > least &&
           sqzi_unicode_property(previous(s->text, begin, &before_it)) & SQZI_UNICODE_SPACE &&
           before_it >= least)
        begin = before_it;
    return begin;
}

static size_t skip_space_right(const sqzi_segmenter *s, size_t end)
{
    size_t length;
    while (end < s->n && sqzi_unicode_property(sqzi_utf8_next(s->text + end, s->n - end, &length)) &
                             SQZI_UNICODE_SPACE)
        end += length;
    return end;
}

/* The longest token at text[at], or NULL. */
static const sqzi_added *match(const sqzi_segmenter *s, size_t at)
{
    const unsigned char b = s->text[at];
    for (uint32_t i = s->list->first[b]; i < s->list->first[b + 1]; i++) {
        const sqzi_added *token = &s->list->tokens[i];
        if (token->n && token->n <= s->n - at && memcmp(token->text, s->text + at, token->n) == 0)
            return token;
    }
    return NULL;
}

/* The next token that counts, from s->resume on. */
static bool find_token(sqzi_segmenter *s, sqzi_segment *found)
{
    while (s->resume < s->n) {
        if (s->list->only >= 0) {
            const unsigned char *at = memchr(s->text + s->resume, s->list->only, s->n - s->resume);
            if (!at) break;
            s->resume = (size_t)(at - s->text);
        }
        const size_t begin = s->resume;
        const sqzi_added *token = match(s, begin);
        s->resume += token ? token->n : 1;
        if (!token || (s->literal && token->flags & SQZI_ADDED_SPECIAL)) continue;
        if (token->flags & SQZI_ADDED_SINGLE_WORD && !stands_alone(s, begin, s->resume)) continue;
        *found = (sqzi_segment){token, begin, s->resume};
        if (token->flags & SQZI_ADDED_LSTRIP)
            found->begin = skip_space_left(s, begin, s->at < begin ? s->at : begin);
        if (token->flags & SQZI_ADDED_RSTRIP) found->end = skip_space_right(s, found->end);
        return true;
    }
    s->resume = s->n;
    return false;
}

bool sqzi_next_segment(sqzi_segmenter *s, sqzi_segment *segment)
{
    if (s->held.token) {
        *segment = s->held;
        s->held.token = NULL;
        return true;
    }
    if (s->at >= s->n) return false;
    sqzi_segment found = {NULL, s->n, s->n};
    const bool token = s->list->n > 0 && find_token(s, &found);
    const size_t begin = s->at;
    if (found.end > s->at) s->at = found.end;
    if (begin < found.begin) {
        *segment = (sqzi_segment){NULL, begin, found.begin};
        if (token) s->held = found;
        return true;
    }
    *segment = found;
    return token;
}
