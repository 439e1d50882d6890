/* SPDX-License-Identifier: Apache-2.0 */
/* From logits on the rows held out to what the file and the user are told. */
#include "base/error.h"
#include "build/builder.h"
#include "build/calibrate.h"
#include "eval/predictions.h"

/* Temperature, threshold, predictions and figures of logits on the rows held out. */
sqz_status sqzi_build_calibrate(sqz_build *b, const float *logits, sqz_error *error)
{
    sqz_status status = SQZ_OK;
    const size_t n = b->result.n_held_out;
    const sqzi_scored scored = {logits, b->frozen.labels + b->result.n_train, n,
                                b->result.n_classes};
    float *memory = sqzi_allocate(b->allocator, n * sizeof *memory);
    FAIL_IF(!memory, SQZ_ENOMEM, 0, "no memory to calibrate");
    b->result.temperature = sqzi_find_temperature(&scored);
    b->result.threshold = sqzi_find_threshold(&scored, b->result.false_refusals, memory);
    sqz_predictions_close(b->predictions);
    b->predictions = NULL;
    TRY(sqzi_predictions_of_logits(b->held_out, logits, b->result.temperature, b->result.threshold,
                                   &b->predictions, error));
    TRY(sqz_measure(b->predictions, &(sqz_measure_options){.seed = b->options.seed},
                    &b->result.measures, error));
    b->result.predictions = b->predictions;
    sqzi_build_find_confusions(b);
fail:
    sqzi_release(b->allocator, memory, n * sizeof *memory);
    return status;
}
