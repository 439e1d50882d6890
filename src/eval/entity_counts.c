/* SPDX-License-Identifier: Apache-2.0 */
/* Entities in sequences of classes, by the rules of conlleval and seqeval: a class is a letter,
 * what stands between it and the kind, and the kind. B and S begin an entity, E and S end one;
 * another kind does both; "O" is outside. I without a B before it begins one. */
#include <string.h>

#include "base/error.h"
#include "eval/predictions.h"

typedef struct tag {
    char letter;
    uint32_t kind; /* number in the list of kinds; UINT32_MAX: outside */
} tag;

typedef struct entity {
    uint32_t kind, first, last;
} entity;

/* Reads the next entity of a sequence of classes. */
typedef struct scan {
    const tag *tags; /* of the classes */
    const uint32_t *labels;
    uint32_t n, at;
} scan;

static bool begins(tag before, tag now)
{
    if (now.letter == 'O') return false;
    return now.letter == 'B' || now.letter == 'S' || before.letter == 'O' || before.letter == 'E' ||
           before.letter == 'S' || before.kind != now.kind;
}

static bool ends(tag now, tag after)
{
    return now.letter == 'E' || now.letter == 'S' || after.letter == 'O' || after.letter == 'B' ||
           after.letter == 'S' || now.kind != after.kind;
}

static bool next_entity(scan *s, entity *found)
{
    static const tag outside = {'O', UINT32_MAX};
    for (; s->at < s->n; s->at++) {
        const tag now = s->tags[s->labels[s->at]];
        if (!begins(s->at ? s->tags[s->labels[s->at - 1]] : outside, now)) continue;
        *found = (entity){now.kind, s->at, s->at};
        while (!ends(s->tags[s->labels[found->last]],
                     found->last + 1 < s->n ? s->tags[s->labels[found->last + 1]] : outside))
            found->last++;
        s->at = found->last + 1;
        return true;
    }
    return false;
}

/* "B-PER" is B and "PER"; "B" alone has the kind "_". */
static sqz_status name_tags(sqz_predictions *p, tag *tags, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_text_table kinds = {.allocator = p->allocator};
    for (uint32_t k = 0; k < p->n_classes; k++) {
        const char *name = sqz_dataset_class(p->dataset, k), *rest = name + 1;
        const char *dash = strchr(rest, '-');
        tags[k] = (tag){name[0], UINT32_MAX};
        if (name[0] == 'O') continue;
        const char *kind = dash ? dash + 1 : rest[0] ? rest : "_";
        const uint32_t known = kinds.n;
        TRY(sqzi_text_table_add(&kinds, (sqz_text){kind, strlen(kind)}, &tags[k].kind, error));
        const sqz_class_figures figures = {.name = kind};
        if (kinds.n > known) TRY(sqzi_buffer_append(&p->kinds, &figures, sizeof figures, error));
    }
fail:
    sqzi_text_table_free(&kinds);
    return status;
}

static sqz_status count_example(sqz_predictions *p, const tag *tags, uint32_t i, sqz_error *error)
{
    const sqz_example *e = &p->examples[i];
    const uint32_t *labels = p->labels + p->first[i];
    sqz_class_figures *kinds = (void *)p->kinds.data;
    scan true_scan = {tags, e->labels, e->n_labels, 0},
         scan_predicted = {tags, labels, e->n_labels, 0};
    sqzi_entity_counts counts = {0};
    entity a = {0}, b = {0};
    bool there = next_entity(&true_scan, &a), predicted = next_entity(&scan_predicted, &b);
    while (there || predicted) {
        const bool same = there && predicted && a.kind == b.kind && a.first == b.first &&
                          a.last == b.last;
        const bool take_true = there && (!predicted || same || a.first <= b.first);
        const bool take_predicted = predicted && (same || !take_true);
        if (same) kinds[a.kind].right++;
        counts.right += same;
        if (take_true) {
            kinds[a.kind].support++;
            counts.support++;
        }
        if (take_predicted) {
            kinds[b.kind].predicted++;
            counts.predicted++;
        }
        if (take_true) there = next_entity(&true_scan, &a);
        if (take_predicted) predicted = next_entity(&scan_predicted, &b);
    }
    for (uint32_t w = 0; w < e->n_labels; w++) counts.words_right += labels[w] == e->labels[w];
    return sqzi_buffer_append(&p->entities, &counts, sizeof counts, error);
}

sqz_status sqzi_count_entities(sqz_predictions *p, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    tag *tags = sqzi_allocate_zeroed(p->allocator, p->n_classes, sizeof *tags);
    FAIL_IF(!tags, SQZ_ENOMEM, 0, "no memory for %u classes", p->n_classes);
    TRY(name_tags(p, tags, error));
    for (uint32_t i = 0; i < p->n; i++) TRY(count_example(p, tags, i, error));
fail:
    if (tags) sqzi_release(p->allocator, tags, p->n_classes * sizeof *tags);
    return status;
}
