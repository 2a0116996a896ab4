#include "app/commands.h"
namespace behalf::app {
int demo(const DemoOptions&) { return kRefused; }
}
