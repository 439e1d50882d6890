/* SPDX-License-Identifier: Apache-2.0 */
#include "train/batches_check.h"

#include "base/error.h"
#include "eval/dataset_reader.h"

sqz_status sqzi_batches_check(const sqz_dataset *dataset, const sqz_batches_options *o, size_t n,
                              sqz_error *error)
{
    sqz_status status = SQZ_OK;
    TRY(SQZI_RESERVED(o, "sqz_batches_options", error));
    FAIL_IF(!o->batch, SQZ_EINVAL, 0, "a batch has at least one example");
    FAIL_IF(!n, SQZ_EINVAL, 0, "%s: there is no example to train on", dataset->name);
    FAIL_IF(!dataset->pieces.ranges.used, SQZ_EINVAL, 0, "%s: is not tokenised", dataset->name);
    FAIL_IF(o->distinct && dataset->texts < 2, SQZ_EINVAL, 0,
            "%s: distinct texts are asked for, of examples that are not several texts",
            dataset->name);
    FAIL_IF(o->texts && (dataset->texts > 1 || o->distinct), SQZ_EINVAL, 0,
            "%s: plain texts go with examples of one text", dataset->name);
    FAIL_IF(o->texts && !o->texts->pieces.ranges.used, SQZ_EINVAL, 0, "%s: is not tokenised",
            o->texts->name);
    FAIL_IF(o->texts && !o->texts->teachers.ranges.used != !dataset->teachers.ranges.used,
            SQZ_EINVAL, 0, "%s: is tokenised for a teacher, or not, and %s otherwise",
            o->texts->name, dataset->name);
    FAIL_IF(o->distinct && o->most_pieces, SQZ_EINVAL, 0,
            "%s: rows are not left out by their pieces where texts are to be distinct",
            dataset->name);
fail:
    return status;
}
