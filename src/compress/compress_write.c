/* SPDX-License-Identifier: Apache-2.0 */
/* The file that comes out: the description of the squeezed one, the tensors of the better one, and
 * what is measured while it has a temporary name. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "compress/compressor.h"
#include "model/context.h"

typedef struct judging {
    sqzi_compressor *c;
    const sqzi_compress_attempt *attempt;
} judging;

/* The numbers of the file, in the order of the keys (compress.c). */
static void set_values(sqzi_compressor *c, const sqzi_compress_attempt *a)
{
    const sqz_compress_score *after = &c->result->after, *base = &c->result->base;
    double *v = c->values;
    *v++ = (double)a->steps;
    if (c->options.dataset) {
        *v++ = after->score;
        *v++ = isnan(after->low) ? after->score : after->low;
        *v++ = isnan(after->high) ? after->score : after->high;
        *v++ = base->score;
        return;
    }
    *v++ = after->likeness.cosine;
    *v++ = after->likeness.neighbours;
    *v++ = after->likeness.classes;
}

/* sqzi_measured: the new file under its temporary name; one that is not good enough gets no other.
 */
static sqz_status judge(void *user, const char *path, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const judging *j = user;
    sqzi_compressor *c = j->c;
    sqz_compress_result *r = c->result;
    sqz_model *model = NULL;
    TRY(sqz_model_open(c->context, path, &model, error));
    TRY(sqzi_compress_judge(c, model, SQZI_COMPRESS_REPORT, &r->after,
                            c->options.dataset ? &r->comparison : NULL, error));
    r->steps = j->attempt->steps;
    r->n_steps = j->attempt->n_steps;
    r->met = isnan(r->least) || r->after.score >= r->least;
    set_values(c, j->attempt);
    FAIL_IF(!r->met, SQZ_ECANCELLED, 0, "the score was not met");
fail:
    sqz_model_close(model);
    return status;
}

static sqz_status judge_before(sqzi_compressor *c, const char *path, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_model *model = NULL;
    TRY(sqz_model_open(c->context, path, &model, error));
    TRY(sqzi_compress_judge(c, model, SQZI_COMPRESS_REPORT, &c->result->before, NULL, error));
fail:
    sqz_model_close(model);
    return status;
}

/* Vectors come with the tensors, unless the squeezed file has none. */
static sqz_status put_all(const sqzi_compressor *c, const sqz_model *squeezed,
                          const sqz_model *better, sqzi_measured *measured, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqzi_gguf_writer *writer = NULL;
    sqzi_references references = {.allocator = c->allocator}, own = {0};
    const sqzi_step step = {.suffix = "-squeezed", .measured = measured};
    TRY(sqzi_references_copy(&own, squeezed, error));
    if (own.n) TRY(sqzi_references_copy(&references, better, error));
    references.measured = measured;
    TRY(sqzi_gguf_writer_open(c->allocator, &writer, error));
    TRY(sqzi_rewrite_metadata(writer, squeezed, &step, error));
    sqzi_put_tensors_of(better, true, writer);
    TRY(sqzi_rewrite_write(writer, &references, c->out, error));
fail:
    sqzi_references_discard(&references);
    sqzi_references_discard(&own);
    sqzi_gguf_writer_close(writer);
    return status;
}

sqz_status sqzi_compress_write(sqzi_compressor *c, const sqzi_compress_attempt *a, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    sqz_model *squeezed = NULL, *healed = NULL;
    judging j = {c, a};
    sqzi_measured measured = c->measured;
    measured.measure = judge;
    measured.user = &j;
    TRY(sqz_model_open(c->context, a->squeezed, &squeezed, error));
    if (a->heals) TRY(sqz_model_open(c->context, a->healed, &healed, error));
    if (a->heals) TRY(judge_before(c, a->squeezed, error));
    status = put_all(c, squeezed, healed ? healed : squeezed, &measured, error);
    if (status == SQZ_ECANCELLED && !c->result->met) status = SQZ_OK; /* and nothing is there */
    if (!a->heals) c->result->before = c->result->after;
fail:
    sqz_model_close(healed);
    sqz_model_close(squeezed);
    return status;
}
