@echo off
rem SPDX-License-Identifier: BSD-2-Clause
rem Runs all tests on Windows itself, from the directory in which the programs are: bin of a build.
setlocal
set failed=
for %%p in (kq_answers kq_windows kq_conformance kq_model) do (
    echo ==== %%p
    "%~dp0%%p.exe" %KQ_TEST_OPTIONS%
    if errorlevel 1 call set failed=%%failed%% %%p
)
if defined failed (
    echo FAILED:%failed%
    exit /b 1
)
echo all passed
