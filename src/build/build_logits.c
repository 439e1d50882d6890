/* SPDX-License-Identifier: Apache-2.0 */
/* A model's logits on the rows held out, in portions. */
#include "base/error.h"
#include "build/builder.h"

enum { PORTION = 256 };

static sqz_status put_row(const sqz_build *b, const sqz_example *e, const sqz_classification *from,
                          float *to, sqz_error *error)
{
    if (from->outcome.status != SQZ_OK)
        return sqzi_fail(error, from->outcome.status, e->line, "%s: line %llu: %s",
                         sqz_dataset_name(b->dataset), (unsigned long long)e->line,
                         from->outcome.text);
    for (uint32_t k = 0; k < b->result.n_classes; k++)
        to[k] = from->logits[b->options.keep_head ? b->outputs[k] : k];
    return SQZ_OK;
}

sqz_status sqzi_build_read_logits(const sqz_build *b, const sqz_model *model, float *logits,
                                  sqz_error *error)
{
    sqz_status status = SQZ_OK;
    size_t n;
    const sqz_example *examples = sqz_dataset_examples(b->held_out, &n);
    sqz_input inputs[PORTION];
    sqz_classification results[PORTION];
    sqz_task *task = NULL;
    TRY(sqz_task_open(model, NULL, &task, error));
    for (size_t i = 0; i < n; i += PORTION) {
        const uint32_t m = (uint32_t)(n - i < PORTION ? n - i : PORTION);
        for (uint32_t j = 0; j < m; j++) inputs[j] = examples[i + j].input;
        TRY(sqz_classify(task, inputs, m, 0, results, error));
        for (uint32_t j = 0; j < m; j++)
            TRY(put_row(b, &examples[i + j], &results[j], logits + (i + j) * b->result.n_classes,
                        error));
    }
fail:
    sqz_task_close(task);
    return status;
}
