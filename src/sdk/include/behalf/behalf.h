// All of libbehalf: docs/sdk.md has the tour.
#pragma once

#include "behalf/authzen.h"
#include "behalf/bearer.h"
#include "behalf/challenge.h"
#include "behalf/delegation.h"
#include "behalf/feed.h"
#include "behalf/keys.h"
#include "behalf/policy.h"
#include "behalf/revocations.h"
#include "behalf/verifier.h"
