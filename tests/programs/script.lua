-- Lua: tables, strings, closures, coroutines, files.
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end
print(_VERSION, fib(20), 7 // 2, 7 / 2, 2 ^ 53, math.maxinteger, 0x10 | 3)
local words = {}
for word in ("the quick brown fox jumps over the lazy dog"):gmatch("%a+") do words[#words + 1] = word end
table.sort(words)
print(table.concat(words, " "), #words, ("x"):rep(5, "-"))
local function squares(n) return coroutine.wrap(function() for i = 1, n do coroutine.yield(i * i) end end) end
local sum = 0
for square in squares(100) do sum = sum + square end
print("sum", sum, string.format("%5.2f %q %x", math.pi, "a\nb", 255))
local Account = setmetatable({}, { __call = function(class, balance) return setmetatable({ balance = balance }, class) end })
Account.__index = Account
Account.__add = function(a, b) return Account(a.balance + b.balance) end
function Account:deposit(amount) self.balance = self.balance + amount return self end
print((Account(10):deposit(5) + Account(1)).balance)
local name = os.tmpname()
local file = assert(io.open(name, "w"))
for i = 1, 1000 do file:write(i, "\t", i * i, "\n") end
file:close()
local lines, total = 0, 0
for line in io.lines(name) do lines = lines + 1; total = total + tonumber(line:match("\t(%d+)")) end
print(lines, total, os.remove(name), io.open(name) == nil)
print(pcall(error, { code = 3 }), select(2, pcall(function() return nil .. "x" end)))
print(os.date("!%Y-%m-%d %H:%M:%S", 86400), utf8.len("größe"), ("%s"):format(os.getenv("HOME")))
collectgarbage()
local big = {}
for i = 1, 200000 do big[i] = i % 7 end
print(#big, arg[1], arg[2])
os.exit(9)
