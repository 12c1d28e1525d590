// SPDX-License-Identifier: BSD-2-Clause
#include "support/windows/names.h"
