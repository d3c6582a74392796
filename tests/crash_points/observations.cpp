#include "observations.hpp"

namespace crash_points {

void observations::check_consumed_below(side sender, std::uint64_t first, const char* source) {
  const std::vector<sent>& sends = from(sender).sends;
  for (send_id which = 0; which < sends.size(); ++which) {
    const sent& s = sends[which];
    if (s.state == fate::stored && !s.abandoned && s.sequence < first && s.consumed == 0) {
      fail(text_of(sender, which) + " is confirmed according to " + source +
           ", but was not consumed");
    }
  }
}

}  // namespace crash_points
