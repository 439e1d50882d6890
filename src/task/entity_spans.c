/* SPDX-License-Identifier: Apache-2.0 */
/* The span rules. Names in comments are those of TokenClassificationPipeline's methods. */
#include "task/entity_spans.h"

#include <string.h>

static bool has_prefix(const char *label, const char *letters)
{
    return label[0] && strchr(letters, label[0]) && label[1] == '-';
}

bool sqzi_labels_mark_ends(const char *const *labels, uint32_t n)
{
    bool begins = false, marks = false;
    for (uint32_t i = 0; i < n; i++) {
        begins |= has_prefix(labels[i], "B");
        marks |= has_prefix(labels[i], "SEUL");
    }
    return begins && marks;
}

sqzi_tag sqzi_read_tag(const char *label, bool mark_ends)
{
    if (has_prefix(label, "B")) return (sqzi_tag){label + 2, true, false};
    if (has_prefix(label, "I")) return (sqzi_tag){label + 2, false, false};
    if (mark_ends && has_prefix(label, "SU")) return (sqzi_tag){label + 2, true, true};
    if (mark_ends && has_prefix(label, "EL")) return (sqzi_tag){label + 2, false, true};
    return (sqzi_tag){label, false, false}; /* get_tag: what has no prefix continues */
}

static uint32_t best_of(const float *scores, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t k = 1; k < n; k++)
        if (scores[k] > scores[best]) best = k;
    return best;
}

/* aggregate_word: pieces first .. last as one word. */
static sqzi_tagged tag_word(const sqzi_scored_piece *pieces, uint32_t first, uint32_t last,
                            uint32_t classes, sqz_aggregation aggregation, float *average)
{
    const float *scores = pieces[first].scores;
    if (aggregation == SQZ_AGGREGATE_MAX) {
        for (uint32_t p = first + 1; p <= last; p++)
            if (pieces[p].scores[best_of(pieces[p].scores, classes)] >
                scores[best_of(scores, classes)])
                scores = pieces[p].scores;
    } else if (aggregation == SQZ_AGGREGATE_AVERAGE) {
        for (uint32_t k = 0; k < classes; k++) {
            double sum = 0;
            for (uint32_t p = first; p <= last; p++) sum += pieces[p].scores[k];
            average[k] = (float)(sum / (last - first + 1));
        }
        scores = average;
    }
    const uint32_t label = best_of(scores, classes);
    return (sqzi_tagged){label, scores[label], first, last};
}

uint32_t sqzi_tag_pieces(const sqzi_scored_piece *pieces, uint32_t n, uint32_t classes,
                         sqz_aggregation aggregation, float *average, sqzi_tagged *tagged)
{
    const bool words = aggregation != SQZ_AGGREGATE_NONE && aggregation != SQZ_AGGREGATE_SIMPLE;
    uint32_t count = 0;
    for (uint32_t first = 0, end; first < n; first = end) {
        end = first + 1;
        while (words && end < n && pieces[end].subword) end++;
        tagged[count++] = tag_word(pieces, first, end - 1, classes,
                                   words ? aggregation : SQZ_AGGREGATE_FIRST, average);
    }
    return count;
}

uint32_t sqzi_group_end(const sqzi_tagged *tagged, uint32_t n, uint32_t begin,
                        const char *const *labels, bool mark_ends)
{
    uint32_t end = begin + 1;
    sqzi_tag last = sqzi_read_tag(labels[tagged[begin].label], mark_ends);
    for (; end < n; end++) {
        const sqzi_tag next = sqzi_read_tag(labels[tagged[end].label], mark_ends);
        if (next.begins || last.ends || strcmp(next.tag, last.tag) != 0) break;
        last = next;
    }
    return end;
}

/* Stable, by begin. The list comes as a few sorted runs, one a window, so insertion from the back
 * moves little. */
static void sort_by_begin(sqz_entity *entities, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++) {
        const sqz_entity moved = entities[i];
        uint32_t place = i;
        for (; place > 0 && entities[place - 1].begin > moved.begin; place--)
            entities[place] = entities[place - 1];
        entities[place] = moved;
    }
}

uint32_t sqzi_merge_overlaps(sqz_entity *entities, uint32_t n)
{
    if (n == 0) return 0;
    sort_by_begin(entities, n);
    uint32_t kept = 0; /* entities[kept] is the pipeline's previous_entity */
    for (uint32_t i = 1; i < n; i++) {
        const sqz_entity *previous = &entities[kept], *entity = &entities[i];
        if (entity->begin < previous->end) {
            const uint32_t length = entity->end - entity->begin,
                           longest = previous->end - previous->begin;
            if (length > longest || (length == longest && entity->score > previous->score))
                entities[kept] = *entity;
        } else entities[++kept] = *entity;
    }
    return kept + 1;
}

static void replace(char *text, const char *from, const char *to)
{
    const size_t n_from = strlen(from), n_to = strlen(to); /* n_to <= n_from: in place */
    char *out = text;
    while (*text) {
        if (strncmp(text, from, n_from) == 0) {
            memcpy(out, to, n_to);
            out += n_to;
            text += n_from;
        } else *out++ = *text++;
    }
    *out = '\0';
}

/* `tokenizers`' cleanup of the WordPiece decoder, applied to each piece with the space before
 * it. */
static void clean_up(char *piece)
{
    static const char *const pairs[][2] = {{" .", "."},     {" ?", "?"},           {" !", "!"},
                                           {" ,", ","},     {" ' ", "'"},          {" n't", "n't"},
                                           {" 'm", "'m"},   {" do not", " don't"}, {" 's", "'s"},
                                           {" 've", "'ve"}, {" 're", "'re"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        replace(piece, pairs[i][0], pairs[i][1]);
}

void sqzi_join_words(const char *const *words, uint32_t n, char *out)
{
    *out = '\0';
    for (uint32_t i = 0; i < n; i++) {
        char *const piece = out;
        const bool glued = i && strncmp(words[i], "##", 2) == 0;
        if (i && !glued) *out++ = ' ';
        strcpy(out, words[i] + (glued ? 2 : 0));
        clean_up(piece);
        out = piece + strlen(piece);
    }
}
