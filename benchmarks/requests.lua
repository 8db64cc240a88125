-- Sends the requests of a file, one line each: path, token, body, apart by tabs. Environment:
--   REQUESTS  the file
--   PACE      requests per second, sent on time, even if the server is slow; 0: as fast as the connections allow
--   STATUSES  1: count every status by itself, which costs wrk some speed
-- In a body, @now@ becomes the moment for which the request was planned, in 24 characters.

local ffi = require("ffi")
ffi.cdef [[
typedef struct { long seconds; long nanoseconds; } moment_t;
int clock_gettime(int clock, moment_t *moment);
]]
local moment = ffi.new("moment_t")

local function now_s()
  ffi.C.clock_gettime(0, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

local function format_time(at_s)
  local ms = math.floor(at_s * 1000 + 0.5)
  return string.format("%s.%03dZ", os.date("!%Y-%m-%dT%H:%M:%S", math.floor(ms / 1000)), ms % 1000)
end

local PLACE, BLANK = "@now@", string.rep("~", 24)
local pace = tonumber(os.getenv("PACE") or "0")
local heads, tails, sent = {}, {}, 0
local slots, first_slot, last_slot, next_slot_s = {}, 1, 0, 0
statuses = ""
local counted = {}

function init(args)
  for line in io.lines(os.getenv("REQUESTS")) do
    local path, token, body = line:match("^([^\t]*)\t([^\t]*)\t(.*)$")
    local headers = { ["Content-Type"] = "application/json", ["X-Forwarded-Proto"] = os.getenv("SCHEME") }
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    local method = body == "" and "GET" or "POST"
    local text = wrk.format(method, path, headers, body ~= "" and body:gsub(PLACE, BLANK) or nil)
    local place = text:find(BLANK, 1, true)
    heads[#heads + 1] = place and text:sub(1, place - 1) or text
    tails[#heads] = place and text:sub(place + #BLANK) or false
  end
end

function request()
  sent = sent % #heads + 1
  local at_s
  if first_slot <= last_slot then
    at_s, slots[first_slot] = slots[first_slot], nil
    first_slot = first_slot + 1
  end
  if not tails[sent] then return heads[sent] end
  return heads[sent] .. format_time(at_s or now_s()) .. tails[sent]
end

if pace > 0 then
  function delay()
    local at_s = now_s()
    if next_slot_s == 0 then next_slot_s = at_s end
    local slot_s = next_slot_s
    next_slot_s = slot_s + 1 / pace
    last_slot = last_slot + 1
    slots[last_slot] = slot_s
    return math.max(0, math.floor((slot_s - at_s) * 1000 + 0.5))
  end
end

if os.getenv("STATUSES") == "1" then
  function response(status)
    counted[status] = (counted[status] or 0) + 1
    local parts = {}
    for code, count in pairs(counted) do parts[#parts + 1] = string.format('"%d":%d', code, count) end
    statuses = table.concat(parts, ",")
  end
end

local threads = {}
function setup(thread) threads[#threads + 1] = thread end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nSEEN {"requests":%d,"seconds":%.6f,"refused":%d,"broken":%d,"p50_s":%.6f,"p95_s":%.6f,"p99_s":%.6f,"statuses":{%s}}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e6, latency:percentile(95) / 1e6, latency:percentile(99) / 1e6, threads[1]:get("statuses") or ""))
end
