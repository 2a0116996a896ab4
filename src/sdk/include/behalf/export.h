// What the shared library shows; everything else in it is its own.
#pragma once

#define BEHALF_PUBLIC __attribute__((visibility("default")))
