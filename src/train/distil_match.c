/* SPDX-License-Identifier: Apache-2.0 */
/* What student and teacher have in common: the pieces that they read, the classes that they know.
 */
#include <string.h>

#include "base/error.h"
#include "model/words.h"
#include "train/distilling.h"

/* ---- pieces ---- */

static const char vocabulary[] = "tokenizer.ggml.tokens";

bool sqzi_distilling_has_logits(const sqzi_distilling *d)
{
    return sqzi_distil_needs_of(d->recipe.weights) & SQZI_NEEDS_LOGITS;
}

int sqz_same_vocabulary(const sqz_model *one, const sqz_model *other)
{
    const sqzi_gguf_value *x, *y;
    if (sqzi_gguf_get_array(one->gguf, vocabulary, SQZI_GGUF_STRING, UINT64_MAX, true, &x, NULL) ||
        sqzi_gguf_get_array(other->gguf, vocabulary, SQZI_GGUF_STRING, UINT64_MAX, true, &y, NULL))
        return 0;
    if (x->n != y->n || one->info.vocabulary != other->info.vocabulary) return 0;
    const unsigned char *a = x->data, *b = y->data;
    for (uint64_t i = 0; i < x->n; i++) {
        const sqzi_span left = sqzi_gguf_next_string(&a), right = sqzi_gguf_next_string(&b);
        if (left.n != right.n || memcmp(left.bytes, right.bytes, left.n) != 0) return 0;
    }
    return 1;
}

/* The same pieces have the same numbers; else each reads its own, and what they make of a whole
 * text alone can be compared. */
sqz_status sqzi_distilling_match_pieces(const sqzi_distilling *d, const sqz_model *student,
                                        sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t own = student->info.vocabulary, n = d->teacher.model->info.vocabulary;
    if (!d->apart) {
        FAIL_IF(!sqz_same_vocabulary(student, d->teacher.model), SQZ_EINVAL, 0,
                "the student's vocabulary has %u pieces, its teacher's %u%s: each example is to "
                "have the teacher's own pieces too (sqz_train_example.teachers)",
                own, n, own == n ? ", which are others" : "");
        return SQZ_OK;
    }
    for (uint32_t i = 0; i < SQZ_DISTIL_LOSSES; i++) {
        double alone[SQZ_DISTIL_LOSSES] = {0};
        alone[i] = d->recipe.weights[i];
        FAIL_IF(sqzi_distil_needs_of(alone) &
                    ~(uint32_t)(SQZI_NEEDS_LOGITS | SQZI_NEEDS_EMBEDDINGS),
                SQZ_EINVAL, i,
                "the loss '%s' compares what stands at each piece, and the teacher reads pieces of "
                "its own: learn logits, soft, logits_mse, pooled, pooled_mse or similarities",
                sqz_distil_loss_name((sqz_distil_loss)i));
    }
    FAIL_IF(sqzi_distilling_has_logits(d) && d->plan.tokens, SQZ_EINVAL, 0,
            "logits of tokens cannot be learned: the teacher reads tokens of its own");
fail:
    return status;
}

/* ---- classes ---- */

/* The teacher's output of this name that no other class has; UINT32_MAX: there is none. */
static uint32_t output_of(const sqzi_distilling *d, const char *name, uint32_t before)
{
    const sqz_model *teacher = d->teacher.model;
    for (uint32_t k = 0; k < teacher->info.n_labels; k++) {
        bool taken = false;
        for (uint32_t j = 0; j < before; j++) taken = taken || d->classes[j] == k;
        if (!taken && strcmp(teacher->labels[k], name) == 0) return k;
    }
    return UINT32_MAX;
}

/* Classes by their names. */
static sqz_status match_classes(sqzi_distilling *d, const sqz_model *student, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const uint32_t n = student->info.n_labels;
    bool same = true;
    if (!student->info.labels_named || !d->teacher.model->info.labels_named) return SQZ_OK;
    d->classes = sqzi_allocate_zeroed(d->allocator, n, sizeof *d->classes);
    FAIL_IF(!d->classes, SQZ_ENOMEM, 0, "no memory for %u classes", n);
    d->n_classes = n;
    for (uint32_t k = 0; k < n; k++) {
        d->classes[k] = output_of(d, student->labels[k], k);
        FAIL_IF(d->classes[k] == UINT32_MAX, SQZ_EINVAL, k,
                "logits cannot be learned: class %u of the student is '%s', which the teacher has "
                "not, whose own are '%s' and %u more",
                k, student->labels[k], d->teacher.model->labels[0], n - 1);
        same = same && d->classes[k] == k;
    }
    if (!same) return SQZ_OK;
    sqzi_release(d->allocator, d->classes, n * sizeof *d->classes);
    d->classes = NULL;
fail:
    return status;
}

sqz_status sqzi_distilling_match_logits(sqzi_distilling *d, const sqz_model *student,
                                        sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const sqz_model *teacher = d->teacher.model;
    const sqz_model_info *s = &student->info, *t = &teacher->info;
    if (!sqzi_distilling_has_logits(d)) return SQZ_OK;
    FAIL_IF(s->head != t->head || s->n_labels != t->n_labels, SQZ_EINVAL, 0,
            "logits cannot be learned: the teacher's head is %s with %u outputs, the student's %s "
            "with %u",
            sqzi_head_words[t->head], t->n_labels, sqzi_head_words[s->head], s->n_labels);
    TRY(match_classes(d, student, error));
    FAIL_IF(t->n_labels < 2 && (d->recipe.weights[SQZ_DISTIL_LOGITS] > 0 ||
                                d->recipe.weights[SQZ_DISTIL_SOFT] > 0),
            SQZ_EINVAL, 0,
            "the teacher has one output, which is no distribution: learn it with the loss "
            "logits_mse");
fail:
    return status;
}
