/* SPDX-License-Identifier: Apache-2.0 */
/* The version, MAJOR.MINOR.PATCH: of the header a program is built with, and of the library it
 * runs. The build reads it from here.
 *
 *   PATCH  mends
 *   MINOR  adds; before 1.0 it may also rename and take away (CHANGELOG.md says how)
 *   MAJOR  breaks: it is the number in the shared libraries' names
 */
#ifndef SQUEEZEBERT_VERSION_H
#define SQUEEZEBERT_VERSION_H

#include <squeezebert/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SQZ_VERSION_MAJOR 0
#define SQZ_VERSION_MINOR 1
#define SQZ_VERSION_PATCH 0

/* For #if: SQZ_VERSION >= SQZ_VERSION_NUMBER(0, 2, 0). Each part is below 1000. */
#define SQZ_VERSION_NUMBER(major, minor, patch) \
    ((major) * 1000000 + (minor) * 1000 + (patch))
#define SQZ_VERSION \
    SQZ_VERSION_NUMBER(SQZ_VERSION_MAJOR, SQZ_VERSION_MINOR, SQZ_VERSION_PATCH)

/* SQZ_VERSION as it was when the library was built. */
SQZ_API uint32_t sqz_version(void);

/* The same as text: "0.1.0". Static storage. */
SQZ_API const char *sqz_version_text(void);

#ifdef __cplusplus
}
#endif

#endif
