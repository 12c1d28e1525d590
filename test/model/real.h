// SPDX-License-Identifier: BSD-2-Clause
// Programs on the library and the real system.
#ifndef KQMODEL_REAL_H
#define KQMODEL_REAL_H

#include <memory>

#include "model/subject.h"

namespace kqmodel {

Traits real_traits();
std::unique_ptr<Subject> make_real();

}  // namespace kqmodel

#endif
