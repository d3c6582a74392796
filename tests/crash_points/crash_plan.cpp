#include "crash_plan.hpp"

namespace crash_points {

std::string name_of(place p) {
  switch (p) {
    case place::before_open:
      return "before open";
    case place::after_open:
      return "after open";
    case place::before_commit:
      return "before commit";
    case place::after_commit:
      return "after commit";
    case place::before_read:
      return "before read";
    case place::after_read:
      return "after read";
    case place::before_close:
      return "before close";
    case place::after_close:
      return "after close";
    case place::before_send:
      return "before send";
    case place::after_send:
      return "after send";
    case place::before_receive:
      return "before receive";
    case place::after_handling:
      return "after handling";
    case place::before_taking:
      return "before taking";
    case place::at_work:
      return "at work";
    case place::after_taking:
      return "after taking";
  }
  return "?";
}

}  // namespace crash_points
